"""Exercises on loss curves: beside a band, and from their trembling."""

import math
import statistics

import torch

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_close, expect_type

CHAPTER = "12_runs_that_survive"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three numbers belong together at each place: the loss, the lowest and the highest of the references there.",
        "`zip(losses, lowest, highest)` walks through all three lists; `enumerate` around it counts the places.",
        "The band with its room goes from `low - room` to `high + room`, both ends included.",
        "A loss that is `nan` is neither above nor below anything. So ask whether it is inside, and take the others.",
    ),
)
def outside_band(attempt):
    """Return the places at which a curve lies outside the band and its room."""
    losses = [4.0, 3.5, 2.6, 2.0, 1.65, 2.5]
    lowest, highest = [3.9, 3.0, 2.5, 2.2, 2.0, 1.9], [4.2, 3.4, 2.7, 2.4, 2.1, 2.0]
    found = attempt(losses, lowest, highest, 0.25)
    expect_type(found, (list, tuple), f"a list of places is asked for, not a {type(found).__name__}")
    mistakes = {
        "the room around the band is left out": [1, 3, 4, 5],
        "the room makes the band narrower here: it goes from `low - room` to `high + room`": [0, 1, 2, 3, 4, 5],
        "only places above the band are found: a loss that is too good is outside as well": [5],
        "only places below the band are found: a curve can be above it as well": [4],
        "the places count from 1 here: count from 0": [5, 6],
        "these are the losses: their places are asked for": [1.65, 2.5],
        "these are the places inside the band": [0, 1, 2, 3],
        "this says for each place whether it is outside: give the numbers of the places": [False] * 4 + [True] * 2,
    }
    diagnose(list(found), [4, 5], mistakes)
    edge = list(attempt([1.0, 2.5], [1.5, 1.5], [2.0, 2.0], 0.5))
    expect(edge == [], "a loss exactly on the edge of the room is still inside")
    lost = list(attempt([2.0, math.nan, 2.0], [1.5] * 3, [2.5] * 3, 0.5))
    expect(lost == [1], "a loss that is nan lies outside, although it is neither above nor below")
    return "this is the first thing that `check_run` asks of a curve"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Take the trend out first: look at the differences between neighbouring losses.",
        "Their standard deviation is a measure of the trembling, for both curves in the same way.",
        "The spread of a mean over B windows falls like 1/√B. So how does B go with the spread?",
        "`reference_batch_size * (reference_spread / own_spread) ** 2`",
    ),
)
def estimate_batch_size(attempt):
    """Estimate a run's batch size from the trembling of its losses beside a reference with a known batch size."""
    trend = [3.0 - 0.02 * step for step in range(60)]
    dice = torch.Generator().manual_seed(0)
    losses, references = (
        [value + spread * noise for value, noise in zip(trend, torch.randn(60, generator=dice).tolist(), strict=True)]
        for spread in (0.16, 0.06)
    )
    found = attempt(losses, references, 32)
    spreads = [statistics.stdev(_steps(curve)) for curve in (losses, references)]
    ratio = spreads[1] / spreads[0]
    plain = statistics.stdev(references) / statistics.stdev(losses)
    mistakes = {
        "upside down: more trembling means a smaller batch": 32 / ratio**2,
        "the square is missing: the spread falls with the root of the batch size": 32 * ratio,
        "the root is taken instead of the square": 32 * math.sqrt(ratio),
        "the trend counts as trembling here: take the differences of neighbours first": 32 * plain**2,
        "this is the ratio of the batch sizes: multiply by the reference's": ratio**2,
    }
    diagnose(found, 32 * ratio**2, mistakes, rtol=0.03)
    same = attempt(references, references, 8)
    expect_close(same, 8.0, "a curve beside itself should give the reference's own batch size")
    return "the trembling knows the batch size, whatever the learning rate is"


def _steps(curve: list[float]) -> list[float]:
    return [later - earlier for earlier, later in zip(curve, curve[1:], strict=False)]
