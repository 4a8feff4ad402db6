"""What surrounds a check: a time limit, and a promise to leave the reader's session as it was."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch


class TimeUp(BaseException):
    """The attempt ran for too long; a BaseException, so that `except Exception` in it does not swallow this."""


@contextmanager
def time_box(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` inside the block after so many seconds; unlimited outside the main thread and on Windows."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise TimeUp(f"{seconds:g} seconds")

    previous_handler = signal.signal(signal.SIGALRM, ring)
    previous_timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)
        signal.setitimer(signal.ITIMER_REAL, *previous_timer)


@contextmanager
def same_surroundings() -> Iterator[None]:
    """Run the block on the CPU with gradients on and fixed seeds; restore every global random state afterwards."""
    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.device("cpu"):
            random.seed(0)
            numpy.random.seed(0)
            torch.default_generator.manual_seed(0)
            yield
    finally:
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)
