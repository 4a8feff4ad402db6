"""Ctrl-C, and the system's request to end, that wait for the step in hand."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what `kill`, a container or a batch system sends first


@contextmanager
def graceful_shutdown() -> Iterator[Callable[[], signal.Signals | None]]:
    """Yield a function that tells which of the two signals came, if one did; a second one acts at once.

    Under `torchrun` a second one means nothing: a batch system signals every process, and `torchrun`, signalled too,
    passes its own signal on. It ends processes that take too long by itself.
    """
    received = None
    under_torchrun = "TORCHELASTIC_RUN_ID" in os.environ

    def remember(signal_number: int, frame: object) -> None:
        nonlocal received
        received = signal.Signals(signal_number)
        if not under_torchrun:
            restore()

    def restore() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    earlier = {number: signal.signal(number, remember) for number in SIGNALS}
    try:
        yield lambda: received
    finally:
        restore()


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Let Ctrl-C, or a notebook's stop button, raise `KeyboardInterrupt` after the block; a second one acts at once.

    Where an interrupt raises no `KeyboardInterrupt`, as in any thread but the main one, nothing changes.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    received = False

    def remember(signal_number: int, frame: object) -> None:
        nonlocal received
        received = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if received:
        raise KeyboardInterrupt


def is_main_process() -> bool:
    """Return whether this process speaks for all: the only one, or the one of rank 0."""
    return os.environ.get("RANK", "0") == "0"
