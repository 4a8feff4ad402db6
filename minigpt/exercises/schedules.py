"""The exercise of the chapter on training that is about the learning rate."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_close, expect_type

CHAPTER = "06_training"


@exercise(
    chapter=CHAPTER,
    hints=(
        "There are three phases, so there are three returns. Which steps belong to which? "
        "The last `decay_steps` of the `max_steps` are the third.",
        "Steps count from 0, and step 0 shall move already: the first `warmup_steps` rates are 1, 2, 3, … shares "
        "of the highest, and the last of them is the highest itself.",
        "In the third phase, progress runs from 0 at the phase's first step to 1 at step `max_steps`. Half a cosine "
        "turns it into a factor from 1 to 0: `0.5 * (1 + math.cos(math.pi * progress))`.",
        "That factor is the share of the way that is left between `lowest` and `highest`.",
    ),
)
def warmup_plateau_cosine(attempt):
    """Return the learning rate of a step: a linear rise, a plateau, then half a cosine down."""

    def curve(function) -> Tensor:
        return torch.tensor([float(function(step, 24, 4, 8, 1.0, 0.2)) for step in range(25)])

    first = attempt(0, 24, 4, 8, 1.0, 0.2)
    expect_type(first, (int, float, Tensor), f"a learning rate is one number, not a {type(first).__name__}")
    rates = curve(attempt)
    expect(not (rates[:-1].diff() == 0).all(), "the learning rate is the same at every step")
    mistakes = {
        "the warmup starts at 0, so the first step moves nothing: count the step that is being taken": curve(
            lambda *values: _plateau(*values, first=0)
        ),
        "the warmup reaches the highest rate one step late": curve(lambda *values: _plateau(*values, late=1)),
        "there is no warmup": curve(lambda *values: _plateau(*values, warmup=False)),
        "the cosine runs the wrong way: the rate drops at once and then climbs back": curve(
            lambda *values: _plateau(*values, fall=lambda p: 0.5 * (1 - math.cos(math.pi * p)))
        ),
        "this is a whole cosine, which comes back up in the end: half of one is asked for": curve(
            lambda *values: _plateau(*values, fall=lambda p: 0.5 * (1 + math.cos(2 * math.pi * p)))
        ),
        "this is a quarter of a cosine, which arrives at full speed: half of one is asked for": curve(
            lambda *values: _plateau(*values, fall=lambda p: math.cos(math.pi * p / 2))
        ),
        "the decay is a straight line, not half a cosine": curve(
            lambda *values: _plateau(*values, fall=lambda p: 1 - p)
        ),
        "there is no plateau: the cosine begins right after the warmup": curve(
            lambda step, total, warmup, decay, high, low: _plateau(step, total, warmup, total - warmup, high, low)
        ),
        "the cosine's progress counts from step 0 and not from the decay's first step": curve(
            lambda *values: _plateau(*values, from_zero=True)
        ),
        "the decay ends at 0 and not at the lowest rate": curve(lambda *values: _plateau(*values[:5], 0.0)),
        "the lowest rate is added on top, so the plateau lies above the highest rate": curve(
            lambda *values: _plateau(*values[:5], 0.0) + 0.2
        ),
    }
    diagnose(rates, curve(_plateau), mistakes)
    other = torch.tensor([float(attempt(step, 10, 2, 5, 3e-3, 0.0)) for step in range(10)])
    expected = torch.tensor([_plateau(step, 10, 2, 5, 3e-3, 0.0) for step in range(10)])
    expect_close(
        other, expected, "right for one schedule, but not for another: is a number fixed in your code?", atol=1e-7
    )
    return "this shape is called warmup-stable-decay, and a run can be prolonged from its plateau"


def _plateau(
    step: int,
    max_steps: int,
    warmup_steps: int,
    decay_steps: int,
    highest: float,
    lowest: float,
    *,
    first: int = 1,
    late: int = 0,
    warmup: bool = True,
    from_zero: bool = False,
    fall: Callable[[float], float] = lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
) -> float:
    """The schedule; each keyword makes one mistake."""
    if warmup and step < warmup_steps + late:
        return highest * (step + first) / (warmup_steps + late)
    start = max_steps - decay_steps
    if step < start:
        return highest
    progress = step / max_steps if from_zero else (step - start) / decay_steps
    return lowest + fall(progress) * (highest - lowest)
