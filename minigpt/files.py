"""Writing a folder or a file so that a reader finds the old one or the new one, never half of either."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from minigpt.errors import UserError
from minigpt.taking_turns import in_turn

LOCK = ".lock"


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well, it takes the place of `folder` in one step.

    If the block fails, the earlier folder is as it was. Between the two renames the earlier folder stands under
    `previous(folder)`, where `whole` finds it. What a killed process left half written, the next one clears away.
    Two processes that replace the same folder do so one after the other.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    place = folder.resolve()
    new = draft_of(place)
    with in_turn(place.parent, folder):
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
        except OSError as error:
            raise UserError(f"{folder} cannot be written ({error.strerror}); choose another place.") from None
        try:
            yield new
            for path in [*new.iterdir(), new]:
                flush(path)
            swap(new, place)
        except OSError as error:
            raise UserError(
                f"{folder} could not be saved ({error.strerror}); make room or choose another place "
                "(what was saved there before is intact)."
            ) from None
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def held(folder: Path, doing: str) -> Iterator[None]:
    """Make a folder and keep other processes out of it; if this one is killed, the system lets go of it.

    Raises:
        UserError: another process holds it (`doing` says what for), or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, is_singleton=True).acquire(timeout=0)
    except Timeout:
        raise UserError(f"Another process is {doing} {folder}; wait until it ends, or choose another folder.") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from None
    with lock:
        yield


def replace_text(path: Path, text: str) -> None:
    """Write a text file in one step: after a crash or on a full disk it is the earlier one or the new one."""
    draft = draft_of(path)
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        flush(draft)
        draft.replace(path)
        flush(path.parent)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`."""
    old = previous(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def draft_of(folder: Path) -> Path:
    """Return where a new folder or file is filled before it takes its place."""
    return folder.with_name(f".{folder.name}.new")


def previous(folder: Path) -> Path:
    """Return where the earlier folder stands while a new one takes its place."""
    return folder.with_name(f".{folder.name}.previous")


def whole(folder: Path) -> Path:
    """Return the folder, or the earlier one if a save was killed between its two renames."""
    old = previous(folder.resolve())
    return old if not folder.exists() and old.exists() else folder


def clear_leftovers(folder: Path) -> None:
    """Clear away what killed saves have left beside a folder; if it is missing, put the earlier one back."""
    place = folder.resolve()
    shutil.rmtree(draft_of(place), ignore_errors=True)
    if place.exists():
        shutil.rmtree(previous(place), ignore_errors=True)
    elif previous(place).exists():
        previous(place).rename(place)


def flush(path: Path) -> None:
    """Ask the system to write a file or a folder's entries to the disk now."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only what it may write
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
