"""The offline copy: everything that a reader needs is in it, nothing else, and the same files give the same zip."""

import zipfile

import pytest

from scripts import offline_zip as offline


@pytest.fixture
def folders(tmp_path):
    """A site and a folder of notebooks, with what must stay outside."""
    for name in ("site/index.html", "site/_sources/a.md", "notebooks/.ruff_cache/x", "notebooks/solutions/00.ipynb"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 100)
    return {"book": tmp_path / "site", "notebooks": tmp_path / "notebooks"}


def test_the_zip_holds_the_files_and_nothing_else(tmp_path, folders):
    out = tmp_path / "copy.zip"
    offline.pack(out, folders, {"READ-ME-FIRST.txt": "hello"})
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        expected = ["READ-ME-FIRST.txt", "book/index.html", "notebooks/solutions/00.ipynb"]
        assert archive.namelist() == [f"{offline.NAME}/{name}" for name in expected]
        assert archive.read(f"{offline.NAME}/book/index.html").decode() == "site/index.html" * 100
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.zip"]


def test_the_same_files_give_the_same_zip(tmp_path, folders):
    copies = [tmp_path / "first.zip", tmp_path / "second.zip"]
    for out in copies:
        (folders["book"] / "index.html").touch()  # a later date changes nothing
        offline.pack(out, folders, {})
    assert copies[0].read_bytes() == copies[1].read_bytes()


def test_an_interruption_leaves_the_earlier_zip(tmp_path, folders, monkeypatch):
    out = tmp_path / "copy.zip"
    offline.pack(out, folders, {})
    before = out.read_bytes()
    monkeypatch.setattr(zipfile.ZipFile, "writestr", lambda *arguments: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        offline.pack(out, folders, {"more": "text"})
    assert out.read_bytes() == before


def test_without_a_built_book_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["offline.py", "--site", str(tmp_path)])
    with pytest.raises(SystemExit, match="There is no built book in .*; run `make book` first."):
        offline.main()


@pytest.mark.slow
def test_the_text_that_says_where_to_begin_names_the_wheel(tmp_path):
    wheel = offline.build_wheel(tmp_path)
    assert f"pip install wheel/{wheel.name}" in offline.FIRST
    with zipfile.ZipFile(wheel) as archive:
        assert "minigpt/checkpoints/tiny/model.safetensors" in archive.namelist()
