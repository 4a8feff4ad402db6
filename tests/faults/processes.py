"""Processes that are killed: begun as forks, so that nothing is imported again, and ended without a chance to clear up.

A process may be killed from outside after some seconds, or kill itself at its nth call of the file system, which falls
into saves more often than chance would. With `power=True` it takes along whatever was not flushed to the disk, as a
power cut does: every file is cut back to the length that it had when it was last flushed.
"""

import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

import torch
from tqdm import tqdm

PHASES = ("start", "step", "evaluation", "sample", "save", "between")


class Phase:
    """What a forked process is doing, which its parent can see."""

    def __init__(self) -> None:
        self.shared = mmap.mmap(-1, 1)

    @property
    def now(self) -> str:
        """The name of the phase."""
        return PHASES[self.shared[0]]

    def during(self, phase: str, function: Callable) -> Callable:
        """Return the function, with the phase told while it runs."""

        def told(*arguments, **named):
            self.shared[0] = PHASES.index(phase)
            try:
                return function(*arguments, **named)
            finally:
                self.shared[0] = PHASES.index("between")

        return told


@dataclass
class Death:
    """When a process is to kill itself: at this call of the file system; the power goes with it, in this folder."""

    moment: int
    power: bool = False
    folder: Path | None = None
    calls: int = 0
    flushed: dict[int, int] = field(default_factory=dict)

    def prepare(self) -> None:
        """Count the calls from now on."""
        real = os.fsync

        def fsync(handle: int) -> None:
            real(handle)
            found = os.fstat(handle)
            self.flushed[found.st_ino] = found.st_size

        if self.power:
            os.fsync = fsync
            there = (path.stat() for path in self.folder.rglob("*") if path.is_file())
            self.flushed = {found.st_ino: found.st_size for found in there}  # by an earlier process, long ago
        sys.addaudithook(self.count)

    def count(self, event: str, arguments: tuple) -> None:
        """Count a call, and kill this process if it is the one."""
        if event == "open" or event.startswith(("os.", "shutil.")):
            self.calls += 1
            if self.calls == self.moment:
                if self.power:
                    self.lose()
                os.kill(os.getpid(), signal.SIGKILL)

    def lose(self) -> None:
        """Cut every file back to what was flushed of it."""
        for path in (path for path in self.folder.rglob("*") if path.is_file()):
            size = path.stat().st_size
            os.truncate(path, min(size, self.flushed.get(path.stat().st_ino, 0)))


def start(action: Callable[[], object], output: Path, death: Death | None = None) -> int:
    """Run an action in a process of its own and return its id; what it prints goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        torch.set_num_threads(1)  # other threads do not survive a fork
        tqdm.set_lock(RLock())  # the usual lock is shared by all forks, and who is killed never gives it back
        with output.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if death:
            death.prepare()
        action()
        code = 0
    except SystemExit as exit:
        code = exit.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def poll(process: int) -> int | None:
    """Return the exit code of a process, negative for a signal, or None while it runs."""
    done, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def finish(process: int, within: float = 120.0) -> int:
    """Wait for a process; kill it when the time is up. Return its exit code, negative for a signal."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        code = poll(process)
        if code is not None:
            return code
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
