"""A command watched while it runs: its time, its processor time and its memory, with those of its children."""

import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

import psutil

PAUSE = 0.05  # seconds


class Watched(NamedTuple):
    """What a command took."""

    seconds: float
    processor_seconds: float
    peak: int  # bytes


def watched(command: Sequence[str]) -> Watched:
    """Run a command and return what it took.

    The peak of memory is that of all processes together, read twenty times a second; pages that they share, such as
    the program itself, are counted once (proportional set size, Linux only).

    Raises:
        RuntimeError: the command failed.
    """
    began = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds_of: dict[int, float] = {}
    peak = 0
    while process.poll() is None:
        peak = max(peak, read(process, seconds_of))
        time.sleep(PAUSE)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")
    return Watched(time.perf_counter() - began, sum(seconds_of.values()), peak)


def read(process: psutil.Process, seconds_of: dict[int, float]) -> int:
    """Note the processor time of a process and its children so far; return the bytes of memory that they have."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            times = each.cpu_times()
            seconds_of[each.pid] = times.user + times.system
            total += each.memory_full_info().pss
    except psutil.Error:
        pass  # one has just ended
    return total
