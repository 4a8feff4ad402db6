"""What surrounds a check: a time limit, and a promise to leave the reader's session as it was."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

import numpy
import torch

AGAIN = 1.0  # seconds until an attempt that caught the first bell hears it again
PATIENCE = 2  # bells, before they come quickly
HASTE = 0.01  # seconds between those
DELICATE = (__name__, "contextlib", "torch.overrides")  # where a bell would leave something half done


class TimeUp(BaseException):
    """The attempt ran for too long; a BaseException, so that `except Exception` in it does not swallow this."""


@contextmanager
def time_box(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` inside the block after so many seconds; unlimited outside the main thread and on Windows.

    An attempt may catch it, as a bare `except:` in a loop does. So it comes again and again, at last so quickly that it
    meets the attempt where it catches nothing.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    rings = 0

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal rings
        rings += 1
        if rings == PATIENCE:
            signal.setitimer(signal.ITIMER_REAL, HASTE, HASTE)
        if frame is None or frame.f_globals.get("__name__") not in DELICATE:  # not while it clears up
            raise TimeUp(f"{seconds:g} seconds")

    previous_handler = signal.signal(signal.SIGALRM, ring)
    previous_timer = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)
        signal.setitimer(signal.ITIMER_REAL, *previous_timer)


@contextmanager
def same_surroundings() -> Iterator[None]:
    """Run the block on the CPU with gradients on and fixed seeds; restore every global random state afterwards."""
    at_home = torch.get_default_device().type == "cpu"  # where a context would only make every operation slower
    device = nullcontext() if at_home else torch.device("cpu")
    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), device:
            random.seed(0)
            numpy.random.seed(0)
            torch.default_generator.manual_seed(0)
            yield
    finally:
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)
