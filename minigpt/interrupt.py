"""Ctrl-C that waits for the step in hand."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def finish_step_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed; a second Ctrl-C stops at once."""
    pressed = False

    def remember(signal_number: int, frame: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, earlier)

    earlier = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, earlier)
