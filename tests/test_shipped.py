"""The files that come with the book are found in a checkout and in an installed package."""

from pathlib import Path

import pytest

from minigpt import UserError, shipped


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """A package folder of its own, as if minigpt were installed there."""
    package = tmp_path / "minigpt"
    package.mkdir()
    monkeypatch.setitem(shipped.__globals__, "__file__", str(package / "shipped.py"))
    return package


def test_found_inside_an_installed_package(installed):
    (installed / "runs").mkdir()
    (installed / "runs" / "one.jsonl").touch()
    assert shipped("runs/one.jsonl") == installed / "runs" / "one.jsonl"


def test_found_beside_the_package_in_a_checkout(installed):
    (installed.parent / "runs").mkdir()
    assert shipped("runs") == installed.parent / "runs"


def test_what_is_not_shipped_is_named(installed):
    with pytest.raises(UserError, match="Nothing named 'runs/two.jsonl' is shipped"):
        shipped("runs/two.jsonl")


def test_the_records_folder_is_shipped():
    assert shipped("runs").is_dir()
