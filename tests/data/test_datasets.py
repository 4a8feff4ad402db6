"""The published data sets: pinned, with a licence, and prepared from a server on this machine."""

import hashlib
import re

import pytest

from minigpt import UserError
from minigpt.data import download as module
from minigpt.data.download import Dataset, datasets, find_dataset
from minigpt.data.shards import open_shards

STORIES = "One day, a cat sat.\n<|endoftext|>\nA dog ran.\n<|endoftext|>\n\nThe end.\n<|endoftext|>\n"


@pytest.mark.parametrize("dataset", datasets().values(), ids=lambda dataset: dataset.name)
def test_every_file_is_pinned(dataset):
    assert re.fullmatch("[0-9a-f]{40}", dataset.revision)
    assert dataset.licence and dataset.licence_url.startswith("https://")
    files = dataset.train + dataset.validation
    assert len({file.name for file in files}) == len(files) > 0
    for file in files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size > 1_000_000
        assert dataset.url(file).startswith(f"https://huggingface.co/datasets/{dataset.repository}/resolve/")
        assert dataset.revision in dataset.url(file)


def test_the_sizes_are_the_published_ones():
    sizes = {name: sum(file.size for file in dataset.train) for name, dataset in datasets().items()}
    assert sizes == {"tinystories": 1_924_281_556, "fineweb-edu": 28_518_193_415}
    assert "1 of 14 files, 2.15 GB" in (edu := find_dataset("fineweb-edu")).describe(edu.train[:1])
    with pytest.raises(UserError, match="no data set 'stories'; the data sets are tinystories, fineweb-edu"):
        find_dataset("stories")


@pytest.fixture
def published(server, cache, monkeypatch) -> Dataset:
    """A data set of two small files, served by this machine."""
    monkeypatch.setenv("HF_ENDPOINT", server.address + "/")
    contents = {"train": STORIES * 30, "validation": STORIES}
    files = {}
    for part, text in contents.items():
        content = text.encode()
        server.files[f"/datasets/someone/stories/resolve/abc/{part}.txt"] = content
        files[part] = [{"path": f"{part}.txt", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}]
    described = {"title": "Stories", "repository": "someone/stories", "revision": "abc", "separator": "<|endoftext|>"}
    licence = {"licence": "CDLA-Sharing-1.0", "licence_url": "https://cdla.dev/sharing-1-0/"}
    dataset = Dataset.from_dict("stories", described | licence | files)
    monkeypatch.setattr(module, "datasets", lambda: {"stories": dataset})
    return dataset


def test_a_data_set_is_fetched_and_prepared(minigpt, published, server, tmp_path):
    prepare = ("data", "prepare", "--source", "stories", "--tokenizer", "char", "--out")
    code, out, _ = minigpt(*prepare, tmp_path / "as-published")
    assert code == 0 and "Licence: CDLA-Sharing-1.0 (https://cdla.dev/sharing-1-0/)." in out
    prepared = open_shards(tmp_path / "as-published")
    validation = prepared.tokenizer.decode(prepared.split.validation[:].tolist())
    assert validation == "One day, a cat sat.\nA dog ran.\nThe end."
    assert prepared.manifest["parts"]["train"]["documents"] == 90

    code, out, _ = minigpt(*prepare, tmp_path / "by-share", "--val-fraction", 0.1)
    parts = open_shards(tmp_path / "by-share").manifest["parts"]
    assert (parts["train"]["documents"], parts["validation"]["documents"]) == (81, 9)
    assert len(server.asked) == 2, "every file was fetched once"
    code, _, err = minigpt(*prepare, tmp_path / "more", "--num-files", 2)
    assert code == 1 and "--num-files 2 is more than the 1 that stories has" in err


def test_without_a_network_the_file_is_named(minigpt, cache, no_network, tmp_path):
    code, out, err = minigpt(
        "data", "prepare", "--source", "tinystories", "--tokenizer", "char", "--out", tmp_path / "x"
    )
    assert code == 1 and "CDLA-Sharing-1.0" in out
    assert "tinystories-TinyStories-train.txt could not be downloaded (ConnectionError); connect" in err
    assert not (tmp_path / "x").exists()
