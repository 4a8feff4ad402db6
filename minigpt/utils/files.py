"""Files that are written whole or not at all: atomic replacement, locks, checksums, and JSON."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from minigpt.utils.errors import UserError, file_errors

LOCK_FILE = ".lock"


@contextmanager
def atomic_directory(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well, it takes the place of `folder` in one step.

    If the block fails, the earlier folder is as it was. Between the two renames the earlier folder stands at
    `backup_path(folder)`, where `last_complete` finds it. What a killed process left half written, the next one clears
    away. Two processes that replace the same folder do so one after the other.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    place = folder.resolve()
    new = temp_path(place)
    with lock_directory(place.parent, folder):
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
        except OSError as error:
            raise UserError(f"{folder} cannot be written ({error.strerror}); choose another place.") from None
        try:
            yield new
            for path in [*new.iterdir(), new]:
                fsync_path(path)
            _swap(new, place)
        except OSError as error:
            raise UserError(
                f"{folder} could not be saved ({error.strerror}); make room or choose another place "
                "(what was saved there before is intact)."
            ) from None
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def exclusive_lock(folder: Path, doing: str) -> Iterator[None]:
    """Make a folder and keep other processes out of it; if this one is killed, the system lets go of it.

    Raises:
        UserError: another process holds it (`doing` says what for), or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE, is_singleton=True).acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{folder} is locked by another process, which is {doing} it; wait until it ends, or choose another folder."
        ) from None
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from None
    with lock:
        yield


def atomic_write_text(path: Path, text: str) -> None:
    """Write a text file in one step: after a crash or on a full disk it is the earlier one or the new one."""
    draft = temp_path(path)
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        fsync_path(draft)
        draft.replace(path)
        fsync_path(path.parent)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`."""
    old = backup_path(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    fsync_path(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def temp_path(folder: Path) -> Path:
    """Return where a new folder or file is filled before it takes its place."""
    return folder.with_name(f".{folder.name}.new")


def backup_path(folder: Path) -> Path:
    """Return where the earlier folder stands while a new one takes its place."""
    return folder.with_name(f".{folder.name}.previous")


def last_complete(folder: Path) -> Path:
    """Return the folder, or the earlier one if a save was killed between its two renames."""
    old = backup_path(folder.resolve())
    return old if not folder.exists() and old.exists() else folder


def fsync_path(path: Path) -> None:
    """Ask the system to write a file or a folder's entries to the disk now."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only what it may write
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


try:
    import fcntl
except ModuleNotFoundError:  # Windows, which cannot lock folders
    fcntl = None  # type: ignore[assignment]


LOCK_TIMEOUT = 60  # seconds for which one waits for another


MAX_RETRIES = 50  # as often is read what is replaced meanwhile


Result = TypeVar("Result")


@contextmanager
def lock_directory(parent: Path, folder: Path) -> Iterator[None]:
    """Let only one process at a time replace what stands in `parent`, such as `folder`; no trace is left there.

    Where a folder cannot be locked, as on Windows and on some network disks, nobody waits.

    Raises:
        UserError: another process takes longer than a minute, or the place cannot be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(parent, os.O_RDONLY) if fcntl else None
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another place.") from None
    try:
        if handle is not None:
            _acquire(handle, folder)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _acquire(handle: int, folder: Path) -> None:
    """Lock an open folder as soon as no other process has it locked."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while not _try_lock(handle):
        if time.monotonic() > deadline:
            raise UserError(
                f"Another process has been saving beside {folder} for {LOCK_TIMEOUT} seconds; wait until it ends, or "
                "choose another folder."
            )
        time.sleep(0.01)


def _try_lock(handle: int) -> bool:
    """Lock an open file or folder, until it is closed, unless another process has it locked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this disk knows no locks
        return True
    return True


@contextmanager
def exclusive_file(path: Path, doing: str) -> Iterator[None]:
    """Make a file that only one process at a time works on, which it may rename in the end; left empty, it goes away.

    Raises:
        UserError: another process works on it; `doing` says what.
    """
    opened: Any = path.open("ab") if fcntl else nullcontext()  # on Windows no open file can be renamed
    with opened as file:
        if file is not None:
            ours = _try_lock(file.fileno()) and path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))
            if not ours:  # or another one has just renamed it
                raise UserError(f"Another process is {doing}; wait until it ends, and try again.")
        path.touch()
        try:
            yield
        finally:
            with suppress(OSError):
                if path.stat().st_size == 0:
                    path.unlink()


def read_consistently(find: Callable[[], Path], read: Callable[[Path], Result], watched: list[Path]) -> Result:
    """Find a folder and read it, and do so again if it was replaced meanwhile, so that all its files belong together.

    `watched` are the folders where it may be found; a failure counts only if none of them was replaced.

    Raises:
        UserError: it is replaced all the time, or `find` or `read` raise it.
    """
    for _ in range(MAX_RETRIES):
        before = [_stat_signature(each) for each in watched]
        try:
            place = find()
            seen = _stat_signature(place)
            result = read(place)
            if (place, seen) == (find(), _stat_signature(place)):
                return result
        except (UserError, OSError):
            if before == [_stat_signature(each) for each in watched]:
                raise
        time.sleep(0.01)
    raise UserError(f"{watched[0]} is replaced again and again while it is read; wait until the training is over.")


def _stat_signature(folder: Path) -> tuple[int, ...] | None:
    """Return what tells a folder from the one that takes its place; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


CHECKSUM_FILE = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Write the checksums of all the files of a folder into the folder."""
    sums = {path.name: sha256_file(path) for path in folder.iterdir()}
    (folder / CHECKSUM_FILE).write_text(format_checksums(sums), encoding="utf-8", newline="\n")


def format_checksums(sums: dict[str, str]) -> str:
    """Return checksums, by the name of the file, as the text of a file of checksums."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def verify_checksum(path: Path, what: str = "the checkpoint") -> None:
    """Compare a file, which is part of `what`, with the checksum in its folder; without checksums, do nothing.

    Raises:
        UserError: the file is missing, or has another checksum, or has none there.
    """
    sums = path.parent / CHECKSUM_FILE
    if not path.is_file():
        raise UserError(f"{path} does not exist; copy or save {what} again.")
    if not sums.exists():
        return
    pairs = [line.split("  ", 1) for line in _read_checksum_lines(sums)]
    expected = {name: listed for listed, name in pairs}
    if expected.get(path.name) != sha256_file(path):
        raise UserError(
            f"{path} does not have the checksum that stands in {CHECKSUM_FILE}, so one of the two is damaged "
            "or was edited; "
            f"copy or save {what} again, or delete {CHECKSUM_FILE} if you made the change yourself."
        )


def _read_checksum_lines(path: Path) -> list[str]:
    """Return the lines of a file of checksums that look like one."""
    with file_errors(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if "  " in line]


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_plain_name(name: Any) -> bool:
    """Return whether this names a file in the folder itself, on any system."""
    if not isinstance(name, str) or name in ("", ".", "..") or "\0" in name:
        return False
    return PurePosixPath(name).name == PureWindowsPath(name).name == name


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        UserError: the file is missing, is not valid JSON (the line is named), or does not hold an object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check that it is a file of your own.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text, so it cannot be JSON; save it again as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}; fix the JSON and try again.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON that can be read ({error}); is it damaged?") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold a JSON object, not a {type(values).__name__}.")
    return values
