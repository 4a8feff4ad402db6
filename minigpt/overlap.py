"""What a text shares word for word with another: the longest stretch, and the share that stands in long ones.

A text is a string, or the ids of its tokens; lengths are counted in characters or tokens accordingly.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from minigpt.config import require

Text: TypeAlias = str | Sequence[int] | Tensor


class Overlap(NamedTuple):
    """The longest stretch that both texts hold, and the share of the first that lies in stretches of some length."""

    longest: int
    share: float


def overlap(sample: Text, source: Text, at_least: int = 8) -> Overlap:
    """Return how much of a sample stands word for word in a source, in stretches of `at_least` or more.

    Raises:
        UserError: the sample is empty, or `at_least` is not positive.
    """
    require(len(sample) > 0, "The sample is empty, so that no share of it can be named; give it at least one token.")
    copied = copied_places(sample, source, at_least)
    return Overlap(max(matches(sample, source)), sum(copied) / len(copied))


def copied_places(sample: Text, source: Text, at_least: int = 8) -> list[bool]:
    """Return for each place of a sample whether it lies in a stretch of `at_least` or more that the source holds."""
    require(at_least > 0, f"at_least = {at_least} must be at least 1.")
    copied = [False] * len(sample)
    for start, length in enumerate(matches(sample, source)):
        if length >= at_least:
            copied[start : start + length] = [True] * length
    return copied


def matches(sample: Text, source: Text) -> list[int]:
    """Return for each place of a sample how long the longest stretch is that begins there and stands in the source.

    These are the matching statistics of Chang and Lawler (1994), by plain search. A stretch that begins one place
    later ends no earlier, so that there are at most two searches for each place.
    """
    sample, source = as_string(sample), as_string(source)
    lengths, end = [], 0
    for start in range(len(sample)):
        end = max(end, start)
        while end < len(sample) and sample[start : end + 1] in source:
            end += 1
        lengths.append(end - start)
    return lengths


def as_string(text: Text) -> str:
    """Write ids as the characters of those numbers, since nothing finds a stretch faster than a search in strings."""
    if isinstance(text, str):
        return text
    ids: Iterable[int] = text.tolist() if isinstance(text, torch.Tensor) else text
    return "".join(map(chr, ids))
