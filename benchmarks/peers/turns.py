"""Two ways of doing the same work, timed in turn, so that whatever else the machine does meets both."""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple


class Turns(NamedTuple):
    """The seconds that each side took, round by round."""

    ours: list[float]
    peer: list[float]

    @property
    def ratio(self) -> float:
        """How many times sooner ours was done than the peer's: the ratio of the medians."""
        return median(self.peer) / median(self.ours)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio of the two sides of one round."""
        ratios = [peer / ours for ours, peer in zip(self.ours, self.peer, strict=True)]
        return min(ratios), max(ratios)


def interleaved(ours: Callable[[], object], peer: Callable[[], object], rounds: int, *, warm_up: int = 1) -> Turns:
    """Return the wall-clock seconds of each side over so many rounds, A B A B, after a round that warms both up.

    A long call that the check before it has run already needs no such round: `warm_up=0`.
    """
    found: list[tuple[float, float]] = [(seconds(ours), seconds(peer)) for _ in range(warm_up + rounds)]
    return Turns(*(list(times) for times in zip(*found[warm_up:], strict=True)))


def seconds(call: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
