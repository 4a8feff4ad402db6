"""Several processes at one folder: saves take turns, and what is read belongs together."""

import os
import time
from pathlib import Path

import pytest

from minigpt import UserError
from minigpt.utils import files
from minigpt.utils.files import atomic_directory, backup_path, exclusive_file, lock_directory, read_consistently

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix can fork")


@pytest.fixture
def elsewhere():
    """Run an action in another process for as long as the test takes: `elsewhere(action, ready)`."""
    children = []

    def begin(action, ready: Path) -> None:
        child = os.fork()
        if child == 0:
            action()
            os._exit(0)
        children.append(child)
        while not ready.exists():
            time.sleep(0.005)

    yield begin
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)


def hold(folder: Path, ready: Path, seconds: float = 60.0) -> None:
    with lock_directory(folder, folder / "one"):
        ready.touch()
        time.sleep(seconds)


def test_one_save_waits_for_another(tmp_path, elsewhere):
    (tmp_path / "models").mkdir()
    elsewhere(lambda: hold(tmp_path / "models", tmp_path / "ready", 0.3), tmp_path / "ready")
    began = time.monotonic()
    with atomic_directory(tmp_path / "models" / "one") as new:
        (new / "a").write_text("a")
    assert time.monotonic() > began
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["one"], "no trace of the turns"


def test_who_waits_too_long_is_told(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(files, "LOCK_TIMEOUT", 0.05)
    (tmp_path / "models").mkdir()
    elsewhere(lambda: hold(tmp_path / "models", tmp_path / "ready"), tmp_path / "ready")
    with (
        pytest.raises(UserError, match=r"Another process has been saving beside .*one for 0\.05 seconds; wait until"),
        atomic_directory(tmp_path / "models" / "one"),
    ):
        pytest.fail("two at once")


def test_a_disk_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(handle: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    for _ in range(2):
        with atomic_directory(tmp_path / "one") as new:
            (new / "a").write_text("a")
    monkeypatch.setattr(files, "fcntl", None)  # as on Windows
    with atomic_directory(tmp_path / "one") as new, exclusive_file(tmp_path / "part", "downloading"):
        (new / "a").write_text("b")
    assert (tmp_path / "one" / "a").read_text() == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_is_replaced_while_it_is_read_is_read_again(tmp_path):
    folder, readings = tmp_path / "one", []

    def write(content: str) -> None:
        with atomic_directory(folder) as new:
            (new / "a").write_text(content)
            (new / "b").write_text(content)

    def read(place: Path) -> str:
        first = (place / "a").read_text()
        if not readings:
            write("new")
        readings.append(first + (place / "b").read_text())
        return readings[-1]

    write("old")
    assert read_consistently(lambda: folder, read, [folder, backup_path(folder)]) == "newnew"
    assert readings == ["oldnew", "newnew"]


def test_a_failure_counts_only_if_nothing_was_replaced(tmp_path):
    folder, tries = tmp_path / "one", []
    folder.mkdir()

    def read(place: Path) -> str:
        tries.append(place)
        if len(tries) == 1:
            folder.rename(backup_path(folder))
            folder.mkdir()
            raise UserError("a file is missing.")
        return "whole"

    assert read_consistently(lambda: folder, read, [folder]) == "whole"
    with pytest.raises(UserError, match="always"):
        read_consistently(lambda: folder, lambda place: (_ for _ in ()).throw(UserError("always")), [folder])


def test_what_never_settles_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_RETRIES", 3)
    folder = tmp_path / "one"
    folder.mkdir()

    def read(place: Path) -> None:
        folder.rename(backup_path(folder))
        folder.mkdir()
        backup_path(folder).rmdir()

    with pytest.raises(UserError, match="one is replaced again and again while it is read; wait until"):
        read_consistently(lambda: folder, read, [folder])


def test_a_file_is_worked_on_by_one_process(tmp_path, elsewhere):
    part = tmp_path / "part"

    def work() -> None:
        with exclusive_file(part, "downloading it"):
            (tmp_path / "ready").touch()
            time.sleep(60)

    elsewhere(work, tmp_path / "ready")
    with (
        pytest.raises(UserError, match="Another process is downloading it; wait until it ends, and try again"),
        exclusive_file(part, "downloading it"),
    ):
        pytest.fail("two at once")
    assert part.exists(), "the other one's file stays"


def test_a_file_left_empty_goes_away_and_one_that_was_renamed_stays(tmp_path):
    with exclusive_file(tmp_path / "part", "downloading"):
        assert (tmp_path / "part").exists()
    assert not list(tmp_path.iterdir())
    with exclusive_file(tmp_path / "part", "downloading"):
        (tmp_path / "part").write_text("all")
        (tmp_path / "part").replace(tmp_path / "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
