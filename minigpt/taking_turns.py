"""Several processes at one folder: they replace it one after the other, and read it while nobody does."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from minigpt.errors import UserError

try:
    import fcntl
except ModuleNotFoundError:  # Windows, which cannot lock folders
    fcntl = None  # type: ignore[assignment]

PATIENCE = 60  # seconds for which one waits for another
READINGS = 50  # as often is read what is replaced meanwhile

Result = TypeVar("Result")


@contextmanager
def in_turn(parent: Path, folder: Path) -> Iterator[None]:
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
            wait_for(handle, folder)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def wait_for(handle: int, folder: Path) -> None:
    """Lock an open folder as soon as no other process has it locked."""
    deadline = time.monotonic() + PATIENCE
    while not locks(handle):
        if time.monotonic() > deadline:
            raise UserError(
                f"Another process has been saving beside {folder} for {PATIENCE} seconds; wait until it ends, or "
                "choose another folder."
            )
        time.sleep(0.01)


def locks(handle: int) -> bool:
    """Lock an open file or folder, until it is closed, unless another process has it locked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this disk knows no locks
        return True
    return True


@contextmanager
def alone_at(path: Path, doing: str) -> Iterator[None]:
    """Make a file that only one process at a time works on, which it may rename in the end; left empty, it goes away.

    Raises:
        UserError: another process works on it; `doing` says what.
    """
    opened: Any = path.open("ab") if fcntl else nullcontext()  # on Windows no open file can be renamed
    with opened as file:
        if file is not None:
            ours = locks(file.fileno()) and path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))
            if not ours:  # or another one has just renamed it
                raise UserError(f"Another process is {doing}; wait until it ends, and try again.")
        path.touch()
        try:
            yield
        finally:
            with suppress(OSError):
                if path.stat().st_size == 0:
                    path.unlink()


def settled(find: Callable[[], Path], read: Callable[[Path], Result], watched: list[Path]) -> Result:
    """Find a folder and read it, and do so again if it was replaced meanwhile, so that all its files belong together.

    `watched` are the folders where it may be found; a failure counts only if none of them was replaced.

    Raises:
        UserError: it is replaced all the time, or `find` or `read` raise it.
    """
    for _ in range(READINGS):
        before = [identity(each) for each in watched]
        try:
            place = find()
            seen = identity(place)
            result = read(place)
            if (place, seen) == (find(), identity(place)):
                return result
        except (UserError, OSError):
            if before == [identity(each) for each in watched]:
                raise
        time.sleep(0.01)
    raise UserError(f"{watched[0]} is replaced again and again while it is read; wait until the training is over.")


def identity(folder: Path) -> tuple[int, ...] | None:
    """Return what tells a folder from the one that takes its place; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns
