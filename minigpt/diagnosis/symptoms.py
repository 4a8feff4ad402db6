"""What a run does differently from the reference runs, and what that is likely to come from.

Every likely cause is one function that looks for its signs in a `Comparison`; more signs, or surer ones, stand first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from minigpt.diagnosis.comparison import Comparison

MUCH = 2.0  # a ratio to the references beyond which a setting counts as another one
NOISY = 1.7  # the noise of a batch falls with the root of its size, so this is a third of the reference's batch
ALIKE = 1.25  # a ratio of losses that a first evaluation does not reach by learning by heart
COPIED = 0.5  # a share of the references' loss that honest learning does not get below


@dataclass(frozen=True)
class Cause:
    """One likely cause: what speaks for it, and how to check it. `weight` puts the causes in order."""

    name: str
    signs: list[str]
    check: str
    weight: int


def learning_rate_too_high(run: Comparison) -> Cause | None:
    """Above the band, often after a fast start: stuck, or thrown back."""
    if run.verdict("training_loss") != "above":
        return None
    rate, signs, weight = run.ratio("learning_rate"), [], 0
    if rate > MUCH:
        signs.append(f"the learning rate in the record is {rate:.3g} times the references'")
        weight += 3
    if run.jump() > 0.5:
        signs.append(f"the loss rose to {run.jump():.1f} nats above where it started")
        weight += 2
    if run.off("training_loss")[0] <= 0 < run.off("training_loss")[-1]:
        signs.append("the first interval was not too slow, and only then the curve got stuck")
        weight += 1
    if run.ratio("gradient_norm") < 0.7:
        signs.append(f"the gradient norm is {run.ratio('gradient_norm'):.2f} times the references', as on a plateau")
        weight += 1
    check = "divide the learning rate by 3 and by 10, for as many steps as the first fifth of the run"
    return Cause("the learning rate is too high", signs, check, weight) if signs else None


def learning_rate_too_low(run: Comparison) -> Cause | None:
    """Above the band from the first interval on, calm, and still falling."""
    if run.verdict("training_loss") != "above":
        return None
    rate, signs, weight = run.ratio("learning_rate"), [], 0
    if 0 < rate < 1 / MUCH:
        signs.append(f"the learning rate in the record is {rate:.3g} times the references'")
        weight += 3
    if run.off("training_loss")[0] > 0 and run.jump() < 0.5:
        signs.append("the curve is too slow from the first interval on, and never rises")
        weight += 1
    if run.late_fall() > 0.02:
        signs.append(f"in its last third it still falls by {run.late_fall():.2f} nats more than the references")
        weight += 1
    check = "multiply the learning rate by 3 and by 10, for as many steps as the first fifth of the run"
    return Cause("the learning rate is too low", signs, check, weight) if signs else None


def causal_mask_missing(run: Comparison) -> Cause | None:
    """In the band at first, then far below it, in training and in validation: the model has found the answers."""
    below = run.verdict("training_loss") == "below" and run.verdict("validation_loss") != "above"
    if not below or run.last_ratio("training_loss") > COPIED:
        return None
    start = run.ratios("training_loss")[0]
    signs = [f"the training loss ends at {run.last_ratio('training_loss'):.2f} times the references'"]
    weight = 2
    if not left_at_once(run):
        signs.append(f"it began like theirs ({start:.2f} times in the first interval) and dropped only later")
        weight += 2
    check = "change the last token of an input: no logit before it may move (Chapter 3 shows the test)"
    return Cause("the causal mask is missing", signs, check, weight)


def targets_not_shifted(run: Comparison) -> Cause | None:
    """Far below the band from the beginning: to repeat the token one is looking at is easily learnt."""
    if run.verdict("training_loss") != "below" or run.last_ratio("training_loss") > COPIED:
        return None
    signs = [f"the training loss ends at {run.last_ratio('training_loss'):.2f} times the references'"]
    weight = 1
    if left_at_once(run):
        signs.append("it left the band in the first interval")
        weight += 2
        if run.verdict("validation_loss") == "above" and not began_alike(run):
            signs.append("the validation loss, on correct targets, is too high from the first evaluation on")
            weight += 2
    check = "print one window and its targets as text: the targets are the window, one character later"
    return Cause("the targets are not shifted", signs, check, weight)


def left_at_once(run: Comparison) -> bool:
    """Return whether the training loss was below the band in the first interval already."""
    return run.off("training_loss")[0] < 0


def began_alike(run: Comparison) -> bool:
    """Return whether the first validation loss was about that of the references."""
    return all(ratio < ALIKE for ratio in run.ratios("validation_loss")[:1])


def evaluated_with_dropout(run: Comparison) -> Cause | None:
    """Training as it should be, and yet a validation loss that is too high beside it."""
    if run.verdict("training_loss") != "inside" or run.dropout == 0 or not run.gap_is_large():
        return None
    signs = [f"training lies in the band; beside it, validation is {run.late_gap():.2f} nats higher than theirs"]
    check = "score the same windows twice: two values that differ are dropout, and `model.eval()` is missing"
    return Cause("the evaluation runs with dropout on", signs, check, 3)


def batch_too_small(run: Comparison) -> Cause | None:
    """A training loss that trembles more than the references' from step to step."""
    noise = run.ratio("noise")
    if noise < NOISY:
        return None
    signs = [
        f"the training loss trembles {noise:.1f} times as much from step to step, as with a batch of "
        f"1/{noise**2:.0f} of the size"
    ]
    weight = 3
    if run.ratio("gradient_norm") > 1.3:
        signs.append(f"the gradient norm is {run.ratio('gradient_norm'):.1f} times the references'")
        weight += 1
    check = "count the windows that one step really sees; for a larger batch in little memory, accumulate gradients"
    return Cause("the batch is too small", signs, check, weight)


def too_little_text(run: Comparison) -> Cause | None:
    """A normal start, then training below the band and validation above it: the model learns by heart."""
    apart = run.verdict("training_loss") == "below" and run.verdict("validation_loss") == "above"
    if not apart or not began_alike(run):
        return None
    signs = ["after a normal start, the training loss falls below the band and the validation loss rises above it"]
    check = "count the tokens of the training part, and how often the run has gone through them"
    return Cause("there is too little text, and it is learnt by heart", signs, check, 4)


CAUSES: list[Callable[[Comparison], Cause | None]] = [
    learning_rate_too_high,
    learning_rate_too_low,
    causal_mask_missing,
    targets_not_shifted,
    evaluated_with_dropout,
    batch_too_small,
    too_little_text,
]


def likely_causes(run: Comparison) -> list[Cause]:
    """Return the causes that have a sign in this run, the likeliest first."""
    found = [cause for look in CAUSES if (cause := look(run)) is not None]
    return sorted(found, key=lambda cause: -cause.weight)
