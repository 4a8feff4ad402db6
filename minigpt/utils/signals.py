"""Ctrl-C, and the system's request to end, that wait for the step in hand."""

import os
import signal
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
            put_back()

    def put_back() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    earlier = {number: signal.signal(number, remember) for number in SIGNALS}
    try:
        yield lambda: received
    finally:
        put_back()


def is_main_process() -> bool:
    """Return whether this process speaks for all: the only one, or the one of rank 0."""
    return os.environ.get("RANK", "0") == "0"
