"""Shipped models by name: from the installation, or fetched where it has none; a path of that name always wins."""

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import UserError, asset_path, checkpoint
from minigpt.app.models import ModelRegistry
from minigpt.checkpoint import shipped
from minigpt.checkpoint.gpt2 import export_hf_gpt2
from minigpt.checkpoint.hub import from_pretrained
from minigpt.checkpoint.shipped import SHIPPED_MODELS, locate_shipped
from minigpt.notebook.models import shipped_models
from minigpt.utils.files import sha256_file

IDS = torch.tensor([[1, 2, 3]])


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A working folder that holds nothing, as after `pip install`."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


@pytest.fixture
def bare(monkeypatch, tmp_path, elsewhere, cache) -> Path:
    """An installation without models, and an empty cache."""
    (tmp_path / "bare" / "minigpt" / "utils").mkdir(parents=True)
    monkeypatch.setitem(asset_path.__globals__, "__file__", str(tmp_path / "bare" / "minigpt" / "utils" / "machine.py"))
    return cache


@pytest.fixture
def repository(server, saved, monkeypatch):
    """A repository on this machine that has a small model by the name of `tiny`."""
    for path in saved.iterdir():
        server.files[f"/owner/name/raw/HEAD/checkpoints/tiny/{path.name}"] = path.read_bytes()
    monkeypatch.setitem(SHIPPED_MODELS, "tiny", sha256_file(saved / "SHA256SUMS"))
    links = {"Project-URL": [f"Book, {server.address}/book", f"Repository, {server.address}/owner/name"]}
    monkeypatch.setattr(metadata, "metadata", lambda name: type("", (), {"get_all": lambda self, key: links[key]})())
    return server


def said(action) -> str:
    with pytest.raises(UserError) as error:
        action()
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    return str(error.value)


def test_every_trained_model_has_a_name_and_its_own_checksum():
    assert set(SHIPPED_MODELS) == {model.name for model in shipped_models() if model.trained}
    for name, sha256 in SHIPPED_MODELS.items():
        content = (asset_path(f"checkpoints/{name}") / "SHA256SUMS").read_bytes()
        assert hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest() == sha256


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_a_name_stands_for_the_folder_that_came_along(elsewhere, name):
    assert locate_shipped(name) == locate_shipped(Path(name)) == asset_path(f"checkpoints/{name}")
    assert checkpoint.find_checkpoint(name) == asset_path(f"checkpoints/{name}")


def test_both_ways_of_loading_take_a_name(elsewhere):
    expected = checkpoint.load(asset_path("checkpoints/tiny")).model(IDS)
    assert torch.equal(checkpoint.load("tiny").model(IDS), expected)
    assert torch.equal(from_pretrained("tiny").model(IDS), expected)
    assert "has no revisions" in said(lambda: from_pretrained("tiny", revision="main"))


def test_a_path_that_exists_wins(elsewhere, saved, model):
    shutil.copytree(saved, elsewhere / "tiny")
    assert torch.equal(checkpoint.load("tiny").model(IDS), model(IDS))
    assert torch.equal(from_pretrained("tiny").model(IDS), model(IDS))
    shutil.rmtree(elsewhere / "tiny")
    (elsewhere / "tiny").mkdir()
    assert "tiny holds no checkpoint" in said(lambda: checkpoint.load("tiny"))


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60))
def test_any_other_place_is_left_as_it_is(text):
    if Path(text).name not in SHIPPED_MODELS:
        assert locate_shipped(text) == Path(text)


def test_the_folder_of_a_checkout_names_the_remedy_where_there_is_none(elsewhere, minigpt):
    for place in ("checkpoints/tiny", str(elsewhere / "checkpoints" / "tiny")):
        assert "does not exist" in said(lambda place=place: checkpoint.load(place))
        code, _, err = minigpt("generate", "--checkpoint", place, "--prompt", "a")
        assert code == 1 and "that comes with minigpt is `--checkpoint tiny`" in err and "minigpt train" not in err
    assert "minigpt train --out runs/tiny" in said(lambda: checkpoint.load("runs/tiny"))
    assert "comes with minigpt (tiny, medium, plays-bpe)" in said(lambda: checkpoint.load("tinny"))


def test_every_command_takes_a_name(elsewhere, minigpt, text_file):
    code, out, _ = minigpt("generate", "--checkpoint", "tiny", "--prompt", "ROMEO:", "--max-new-tokens", 3)
    assert code == 0 and out.startswith("ROMEO:")
    assert minigpt("params", "--checkpoint", "tiny")[0] == 0
    code, out, err = minigpt("evaluate", "--checkpoint", "tiny", "--text", text_file, "--max-windows", 1, "--json", "-")
    assert code == 0, err
    report = json.loads(out)
    assert report["checkpoint"]["sha256"] == sha256_file(asset_path("checkpoints/tiny") / "model.safetensors")
    assert minigpt("export", "hf", "--checkpoint", "medium", "--out", "medium-hf")[0] == 0
    assert minigpt("export", "web", "tiny", "--out", "tiny-web")[0] == 0


def test_the_app_takes_a_name(elsewhere):
    models = ModelRegistry(["medium"])
    assert models.names[0] == "medium" and models.names.count("tiny") == 1 and "medium (2)" not in models.names


def test_a_model_that_did_not_come_along_is_fetched_once(bare, repository, model):
    assert torch.equal(checkpoint.load("tiny").model(IDS), model(IDS))
    assert checkpoint.find_checkpoint("tiny") == bare / "checkpoints" / "tiny"
    asked = len(repository.asked)
    assert asked == 4 and torch.equal(from_pretrained("tiny").model(IDS), model(IDS))
    assert len(repository.asked) == asked
    assert ModelRegistry(["tiny"]).names == ["tiny"]


def test_what_was_fetched_is_checked(bare, repository):
    repository.files["/owner/name/raw/HEAD/checkpoints/tiny/model.safetensors"] = b"another"
    assert "model.safetensors has another checksum" in said(lambda: checkpoint.load("tiny"))


def test_without_a_network_the_remedy_is_named(bare, repository, no_network, saved, monkeypatch, model, tmp_path):
    links = {"Project-URL": ["Repository, https://example.invalid/owner/name"]}
    monkeypatch.setattr(metadata, "metadata", lambda name: type("", (), {"get_all": lambda self, key: links[key]})())
    told = said(lambda: checkpoint.load("tiny"))
    assert "The model tiny, which did not come with this installation: " in told
    assert "connect to the internet, or put the file in a folder and name that folder in MINIGPT_DATA" in told
    shutil.copytree(saved, tmp_path / "data" / "checkpoints" / "tiny")
    monkeypatch.setenv("MINIGPT_DATA", str(tmp_path / "data"))
    assert torch.equal(checkpoint.load("tiny").model(IDS), model(IDS))


def test_a_package_that_was_not_installed_says_so(bare, monkeypatch):
    monkeypatch.setattr(shipped, "DISTRIBUTION", "no-such-distribution")
    assert "the package no-such-distribution is not installed" in said(lambda: checkpoint.load("tiny"))
    assert shipped_models() == []
    assert "name one, such as `--checkpoint tiny`" in said(ModelRegistry)


def test_another_programs_layout_is_sent_to_the_import(minigpt, make_model, tmp_path):
    folder = tmp_path / "their own"
    export_hf_gpt2(make_model(tie_weights=True), folder)
    for command in (["generate", "--prompt", "a"], ["evaluate"], ["params"], ["export", "hf", "--out", tmp_path / "x"]):
        code, _, err = minigpt(*command, "--checkpoint", folder)
        assert code == 1 and "a model of type 'gpt2'" in err and f"minigpt import hf '{folder}' --out FOLDER" in err
