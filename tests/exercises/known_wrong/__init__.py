"""Wrong answers to every exercise: one module a chapter, as in `minigpt.exercises`, each with a table `WRONG`."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    """A wrong answer, and a part of the sentence with which the checker must name its mistake."""

    attempt: Callable
    says: str
