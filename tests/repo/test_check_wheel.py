"""What others install: both distributions hold what they should, and the wheel works where there is no repository."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from scripts import check_wheel as try_wheel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    return try_wheel.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def python(built, tmp_path_factory) -> Path:
    return try_wheel.install_alone(built[1], tmp_path_factory.mktemp("environment"))


def test_the_wheel_holds_the_package_its_models_and_its_records(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = archive.namelist()
    for name in ("py.typed", "model/gpt.py", "checkpoints/tiny/model.safetensors", "results/tiny-shakespeare.jsonl"):
        assert f"minigpt/{name}" in names
    assert {f"minigpt/book/playground/{name}" for name in ("panel.html", "page.js", "worker.js")} <= set(names)
    others = {name.split("/")[0] for name in names} - {"minigpt"}
    assert [name.split(".")[-1] for name in others] == ["dist-info"]
    assert not [name for name in names if "__pycache__" in name or "tests/" in name]


def test_the_sources_hold_the_tests_too(built):
    sources = built[0]
    held = {path.name for path in sources.iterdir()}
    assert {"minigpt", "tests", "checkpoints", "results", "pyproject.toml", "README.md", "LICENSE"} <= held
    assert not held & {"book", "chapters", "scripts", "experiments", "_build"}


def test_alone_it_runs_its_command_and_a_test(built, python, tmp_path):
    try_wheel.lay_out_tests(built[0], tmp_path)
    help_text = try_wheel.run(python, "-m", "minigpt", "--help", folder=tmp_path, quiet=True)
    assert "selftest" in help_text
    for path in (tmp_path / "tests").rglob("test_*.py"):
        if path.stem not in ("test_config", "test_book", "test_draw_logo"):
            path.unlink()
    told = try_wheel.run(python, "-m", "pytest", "-p", "no:cacheprovider", folder=tmp_path, quiet=True)
    assert "the tests of what only the repository holds are left out" in told
    assert "test_config.py" in told and " passed" in told and "test_book" not in told


def test_alone_its_models_have_names_and_write_on_a_page_of_their_own(python, tmp_path):
    run = ("-m", "minigpt", "generate", "--checkpoint", "tiny", "--prompt", "ROMEO:", "--max-new-tokens", 2)
    assert try_wheel.run(python, *run, folder=tmp_path, quiet=True).startswith("ROMEO:")
    try_wheel.run(python, "-m", "minigpt", "export", "web", "tiny", "--out", "web", folder=tmp_path, quiet=True)
    assert (tmp_path / "web" / "index.html").exists() and (tmp_path / "web" / "playground" / "page.js").exists()


def test_a_command_that_fails_is_an_error(python, tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        try_wheel.run(python, "-m", "minigpt", "no-such-command", folder=tmp_path, quiet=True)
