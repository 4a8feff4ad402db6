"""nanoGPT's files of ids become shards with the same ids, and what is none is named."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError, open_shards
from minigpt.data import nanogpt
from minigpt.data.nanogpt import prepare_bins
from minigpt.data.shards import check_shards

TOKENIZER = BPETokenizer.train("the cat sat on the mat, naïve 日本 " * 3, 270)
END = TOKENIZER.special_tokens["<|endoftext|>"]
IDS = st.lists(st.integers(0, TOKENIZER.vocab_size - 1), min_size=1, max_size=60)


def write(path, ids, header=False):
    beginning = np.array([20240520, 1, len(ids)] + [0] * 253, "<i4").tobytes() if header else b""
    path.write_bytes(beginning + np.array(ids, "<u2").tobytes())
    return path


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nanogpt, "_BLOCK", 7)
        yield


@settings(max_examples=40)
@given(train=st.lists(IDS, min_size=1, max_size=3), validation=IDS, shard=st.integers(3, 40), header=st.booleans())
def test_the_ids_are_those_of_the_files(tmp_path_factory, train, validation, shard, header):
    folder = tmp_path_factory.mktemp("bins")
    files = [write(folder / f"train_{number}.bin", ids, header) for number, ids in enumerate(train)]
    held_out = write(folder / "val.bin", validation, header)
    prepared = prepare_bins(files, [held_out], TOKENIZER, folder / "out", shard_tokens=shard)
    check_shards(folder / "out")
    assert prepared.split.train[:].tolist() == [id for ids in train for id in ids]
    assert prepared.split.validation[:].tolist() == validation
    part = prepared.manifest["parts"]["validation"]
    content = b"".join(TOKENIZER.token_bytes(id) for id in validation if id != END)
    assert part["bytes"] == len(content) and part["characters"] == sum(byte & 0xC0 != 0x80 for byte in content)
    assert part["documents"] == validation.count(END) + (validation[-1] != END)
    again = prepare_bins(files, [held_out], TOKENIZER, folder / "out", shard_tokens=shard)
    assert again.sha256 == prepared.sha256


def test_the_end_is_held_out_where_no_file_is(tmp_path):
    path = write(tmp_path / "train.bin", range(100))
    split = prepare_bins([path], [], TOKENIZER, tmp_path / "out", val_fraction=0.2).split
    assert split.train[:].tolist() == list(range(80)) and split.validation[:].tolist() == list(range(80, 100))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has 0 bytes, which are no ids of two bytes each"),
        (b"abc", "has 3 bytes, which are no ids"),
        (np.array([1, 270, 2], "<u2").tobytes(), "holds the id 270, and BPETokenizer.270 tokens. has none above 269"),
        (None, "does not exist; check the path"),
    ],
)
def test_what_is_none_is_named(tmp_path, content, said):
    path = tmp_path / "train.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"train\.bin {said}"):
        prepare_bins([path], [], TOKENIZER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_ids_and_a_taken_folder_are_named(tmp_path):
    path = write(tmp_path / "train.bin", [1, 2])
    with pytest.raises(UserError, match="There are no ids for the validation part"):
        prepare_bins([path], [], TOKENIZER, tmp_path / "out")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="taken exists already"):
        prepare_bins([path], [path], TOKENIZER, tmp_path / "taken")
    prepare_bins([path], [path], TOKENIZER, tmp_path / "out")
    with pytest.raises(UserError, match="begun with another number of tokens a shard"):
        prepare_bins([path], [path], TOKENIZER, tmp_path / "out", shard_tokens=5)


def test_the_command_reads_them_with_nanogpts_characters(tmp_path, minigpt):
    characters = "\n abcdef"
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps({"itos": dict(enumerate(characters))}))
    train, held_out = (write(tmp_path / name, [2, 3, 4, 1] * 30) for name in ("train.bin", "val.bin"))
    options = ("data", "prepare", "--text", train, "--validation", held_out, "--out", tmp_path / "out", "--tokenizer")
    code, out, err = minigpt(*options, tmp_path / "meta.pkl")
    assert code == 0 and "train 120 tokens" in out, err
    prepared = open_shards(tmp_path / "out")
    assert isinstance(prepared.tokenizer, CharTokenizer)
    assert torch.equal(prepared.split.train[:4], torch.tensor([2, 3, 4, 1]))
    assert prepared.tokenizer.decode([2, 3, 4, 1]) == "abc "
    code, _, err = minigpt(*options, "char")
    assert code == 1 and "train.bin holds ids, not characters; name the tokenizer that it was made with" in err
    (tmp_path / "a.txt").write_text("a text")
    code, _, err = minigpt(*options, tmp_path / "meta.pkl", "--text", tmp_path / "a.txt")
    assert code == 1 and "a.txt is text, and others hold ids (.bin); prepare each kind by itself" in err
