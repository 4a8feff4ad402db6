"""Replacing a folder: whatever fails or is killed, a reader finds the old one or the new one."""

import errno
import os
from pathlib import Path

import pytest

from minigpt import UserError
from minigpt.utils.files import atomic_directory, backup_path, fsync_path, last_complete


def write(folder: Path, content: str) -> None:
    with atomic_directory(folder) as new:
        (new / "a").write_text(content)
        (new / "b").write_text(content)


def content(folder: Path) -> set[str]:
    return {path.read_text() for path in last_complete(folder).iterdir()}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder that holds the old content."""
    write(tmp_path / "one", "old")
    return tmp_path / "one"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def test_a_folder_is_written_with_its_parents(tmp_path):
    write(tmp_path / "x" / "y" / "one", "new")
    assert content(tmp_path / "x" / "y" / "one") == {"new"}
    assert names(tmp_path / "x" / "y" / "one") == ["one"]


def test_a_folder_is_replaced_whole(folder):
    (folder / "c").write_text("old")
    write(folder, "new")
    assert content(folder) == {"new"}
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    assert names(folder) == ["one"]


def test_the_old_folder_stands_until_the_new_one_is_complete(folder):
    with atomic_directory(folder) as new:
        (new / "a").write_text("new")
        assert content(folder) == {"old"}
    assert content(folder) == {"new"}


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_failed_block_changes_nothing(folder, error):
    with pytest.raises(error), atomic_directory(folder) as new:
        (new / "a").write_text("new")
        raise error
    assert content(folder) == {"old"}
    assert names(folder) == ["one"]


@pytest.mark.parametrize("call", ["os.fsync", "os.rename", "pathlib.Path.rename"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_failure_of_the_disk_is_one_sentence(folder, monkeypatch, call, at):
    module, _, name = call.rpartition(".")
    owner = Path if module == "pathlib.Path" else os
    real, calls = getattr(owner, name), []

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(owner, name, fail_once)
    try:
        write(folder, "new")
    except UserError as error:
        assert str(error) == (
            f"{folder} could not be saved (No space left on device); make room or choose another place "
            "(what was saved there before is intact)."
        )
        assert content(folder) == {"old"}
    else:
        assert len(calls) < at, "the failure was swallowed"
        assert content(folder) == {"new"}
    monkeypatch.undo()
    write(folder, "newer")
    assert content(folder) == {"newer"}
    assert names(folder) == ["one"]


def test_a_full_disk_leaves_the_old_folder(folder, full_disk):
    with full_disk(2), pytest.raises(UserError, match="one could not be saved .*make room"):
        write(folder, "new")
    assert content(folder) == {"old"}
    assert names(folder) == ["one"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"one cannot be written \(.*\); choose another place"):
        write(tmp_path / "file" / "one", "new")
    assert (tmp_path / "file").read_text() == "not a folder"


def test_the_earlier_folder_is_found_between_the_two_renames(folder):
    folder.rename(backup_path(folder))
    assert content(folder) == {"old"}
    write(folder, "new")
    assert content(folder) == {"new"}
    assert names(folder) == ["one"]


def test_what_a_killed_process_left_is_cleared_away(folder):
    (folder.parent / ".one.new").mkdir()
    (folder.parent / ".one.new" / "half").write_text("ha")
    write(folder, "new")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    assert names(folder) == ["one"]


def test_a_link_to_a_folder_stays_a_link(folder):
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    for new in ("new", "newer"):
        write(link, new)
        assert link.is_symlink()
        assert content(folder) == content(link) == {new}
    assert names(folder) == ["link", "one"]


def test_a_relative_folder_and_its_own_folder_work(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    write(Path("one"), "new")
    assert content(folder) == {"new"}
    assert last_complete(Path()) == Path()


def test_everything_reaches_the_disk_before_it_gets_its_name(folder, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    real = Path.rename

    def rename(path, target):
        if path.name == ".one.new":
            assert {one.stat().st_ino for one in (*path.iterdir(), path)} <= set(flushed)
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    write(folder, "new")
    assert flushed[-1] == folder.parent.stat().st_ino, "the names reach the disk last"
    assert len(flushed) == 4


def test_flush_takes_files_and_folders(tmp_path):
    (tmp_path / "file").write_text("x")
    fsync_path(tmp_path / "file")
    fsync_path(tmp_path)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_folder(tmp_path, killed_at):
    seen, moment = set(), 0
    while True:
        moment += 1
        folder = tmp_path / str(moment) / "one"
        write(folder, "old")
        killed = killed_at(moment, lambda folder=folder: write(folder, "new"))
        found = content(folder)
        assert found in ({"old"}, {"new"}), f"a kill at moment {moment} left {found}"
        seen |= found
        write(folder, "newer")
        assert content(folder) == {"newer"}
        assert names(folder) == ["one"]
        if not killed:
            break
    assert moment > 12, "there are more moments than that in a save"
    assert seen == {"old", "new"}
