"""The set-up cell, and the tool that plays Colab: what it leads where, what it hides, and what it compares."""

import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from minigpt.notebook.download import offer_download
from minigpt.notebook.results import read_record
from scripts import check_colab as colab
from scripts.stamp import Address, notebook_paths, read_address


@pytest.fixture
def magics(monkeypatch):
    """Run the set-up cell as IPython does, and return the magics that it asked for."""
    asked = []
    shell = SimpleNamespace(run_line_magic=lambda name, line, *rest: asked.append(f"{name} {line}"))

    def run() -> list[str]:
        source = TransformerManager().transform_cell(Address("someone", "fork").setup)
        exec(source, {"get_ipython": lambda: shell})
        return asked

    return run


def test_elsewhere_the_set_up_cell_does_nothing(magics, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert magics() == []


def test_in_colab_the_set_up_cell_installs_the_package_and_upgrades_nothing(magics, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    assert magics() == ["pip install --quiet git+https://github.com/someone/fork"]


@pytest.fixture
def runtime(tmp_path) -> colab.Runtime:
    return colab.Runtime(tmp_path)


def test_a_notebook_finds_nothing_that_leads_to_the_working_tree(runtime, monkeypatch):
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "MINIGPT_TIER", "HOME"):
        monkeypatch.setenv(name, "/somewhere")
    monkeypatch.setenv("MINIGPT_DATA", "/texts")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example")
    found = runtime.variables
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & found.keys()
    assert found["MINIGPT_TIER"] == "smoke" and found["HOME"] == str(runtime.home)
    assert found["MINIGPT_DATA"] == "/texts" and found["PIP_INDEX_URL"] == "https://index.example"
    assert found["PATH"].startswith(str(runtime.python.parent))


def test_the_address_of_the_repository_leads_to_the_copy(runtime):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    copy = runtime.folder / "repository.git"
    subprocess.run([*git, "init", "--quiet", copy], check=True)
    subprocess.run([*git, "-C", copy, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    asked = [*git, "ls-remote", read_address(colab.ROOT).repository, "HEAD"]
    found = subprocess.run(asked, env=runtime.variables, capture_output=True, text=True, check=True).stdout
    here = subprocess.run([*git, "-C", copy, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert found.split()[0] == here.strip()


def test_what_was_there_before_is_compared():
    before = {"torch": "2.11.0", "numpy": "2.1.3", "six": "1.0"}
    assert colab.changed(before, before | {"minigpt-book": "0.1.0"}) == {}
    after = {"torch": "2.11.0", "numpy": "2.4.0"}
    assert colab.changed(before, after) == {"numpy": ["2.1.3", "2.4.0"], "six": ["1.0", None]}


def test_the_time_of_the_first_cell_is_told():
    cell = nbformat.v4.new_code_cell("pass")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), cell])
    assert colab.setup_seconds(notebook) == 0
    moments = ("2026-11-21T10:00:00.000000Z", "2026-11-21T10:00:12.500000Z")
    cell.metadata["execution"] = dict(zip(("iopub.execute_input", "shell.execute_reply"), moments, strict=True))
    assert colab.setup_seconds(notebook) == 12.5


def test_the_pretended_module_notes_what_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(colab.PRETENCE)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = set(sys.modules)
    try:
        __import__("google.colab")
        (tmp_path / "log.txt").write_text("a log")
        offer_download(tmp_path / "log.txt")
        assert (tmp_path / "downloads.txt").read_text() == "log.txt\n"
        with pytest.raises(FileNotFoundError, match="Cannot find file: nothing"):
            sys.modules["google.colab.files"].download("nothing")
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]


def test_the_record_holds_every_chapter_and_no_change():
    record = read_record("colab.json")
    if record is None:
        pytest.skip("there is no record yet")
    assert record["changed"] == {}
    assert not [name for name, one in record["notebooks"].items() if "error" in one]
    expected = {path.stem for path in notebook_paths(colab.ROOT) if "solutions" not in path.parts}
    assert {"00_welcome", "06_training", "29_everything_at_once"} <= record["notebooks"].keys() <= expected
    assert {"torch", "numpy", "ipywidgets", "ipython"} <= record["versions"].keys()
