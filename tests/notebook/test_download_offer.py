"""What a notebook hands over: a download in Colab, elsewhere a place."""

import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from minigpt import UserError
from minigpt.notebook.download import offer_download


@pytest.fixture
def colab(monkeypatch) -> list[str]:
    """Pretend to be in Colab; return the list of what is downloaded."""
    downloaded = []
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "google.colab.files", SimpleNamespace(download=downloaded.append))
    return downloaded


def test_elsewhere_it_says_where_a_thing_lies(tmp_path, capsys):
    offer_download(tmp_path)
    assert capsys.readouterr().out == f"It lies in {tmp_path.resolve()}.\n"
    assert not list(tmp_path.parent.glob("*.zip"))


def test_in_colab_a_file_is_downloaded_as_it_is(colab, tmp_path):
    (tmp_path / "log.jsonl").write_text("{}")
    offer_download(tmp_path / "log.jsonl")
    assert colab == [str(tmp_path / "log.jsonl")]


def test_in_colab_a_folder_is_downloaded_as_a_zip(colab, saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    offer_download("saved")
    (name,) = colab
    with zipfile.ZipFile(name) as archive:
        assert {"saved/config.json", "saved/model.safetensors"} <= set(archive.namelist())
    assert Path(name) == saved.with_suffix(".zip")


def test_what_is_not_there_is_named(colab, tmp_path):
    with pytest.raises(UserError, match="nothing does not exist, so it cannot be offered"):
        offer_download(tmp_path / "nothing")
    assert not colab
