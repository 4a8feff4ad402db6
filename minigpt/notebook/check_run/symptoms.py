"""What can be said about a training run: checks that need no other run, and likely causes beside a reference band."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minigpt.checkpoint.run_log import StepMetrics, validation_curve
from minigpt.notebook.check_run.comparison import Comparison

_NEAR = 0.5  # nats between the first loss and ln V that are no reason to worry


_GAP = 0.3  # nats between validation and training that show learning by heart


_GROWN = 3.0  # a gradient norm that grows this many times over the run is about to blow up


_JUMP = 0.5  # nats above the first loss that no batch explains by chance


_IMPOSSIBLE = 0.3  # nats per token that no text allows which was not seen before


def basic_checks(records: Sequence[StepMetrics], vocab_size: int | None = None) -> list[str]:
    """Return a sentence for each sign: the first loss, the fall, jumps, the gap, the gradient norms."""
    signs = [
        _start(records, vocab_size),
        _fall(records),
        _rise(records),
        _gap(records),
        _gradients(records),
        _leak(records),
    ]
    return [sign for sign in signs if sign]


def _start(records: Sequence[StepMetrics], vocab_size: int | None) -> str:
    """Compare the first loss with that of a uniform guess."""
    if vocab_size is None or records[0].step != 1:
        return ""
    loss, uniform = records[0].loss, math.log(vocab_size)
    if abs(loss - uniform) <= _NEAR:
        return f"The first loss, {loss:.2f}, is near ln {vocab_size} = {uniform:.2f}, as it should be."
    return (
        f"The first loss is {loss:.2f} and should be near ln {vocab_size} = {uniform:.2f}: look at the initialisation."
    )


def _fall(records: Sequence[StepMetrics]) -> str:
    """Compare the first fifth of the training losses with the last."""
    part = max(1, len(records) // 5)
    first, last = (statistics.fmean(r.loss for r in some) for some in (records[:part], records[-part:]))
    if last < first - 0.01:
        return f"The training loss falls: {first:.2f} on average in the first fifth of the run, {last:.2f} in the last."
    return f"The training loss does not fall ({first:.2f}, later {last:.2f}): overfit one batch before anything else."


def _rise(records: Sequence[StepMetrics]) -> str:
    """Notice a training loss that jumps above where it started."""
    highest = max(records, key=lambda record: record.loss)
    jump = highest.loss - records[0].loss
    if jump < _JUMP:
        return ""
    return f"At step {highest.step:,} the loss is {jump:.1f} above where it started: lower the learning rate."


def _gap(records: Sequence[StepMetrics]) -> str:
    """Compare the last validation loss with the training loss around it."""
    curve = validation_curve(records)
    if not curve:
        return "There is no validation loss yet, so nothing can be said about other text."
    part = records[-max(1, len(records) // 10) :]
    (last_step, last), (best_step, _) = curve[-1], min(curve, key=lambda point: point[1])
    distance = last - statistics.fmean(record.loss for record in part)
    if distance > _GAP and best_step != last_step:
        return (
            f"The validation loss is {distance:.2f} above the training loss and was lowest at step {best_step:,}: "
            "the model learns by heart, so keep that checkpoint."
        )
    return f"The last validation loss minus the training loss is {distance:.2f}."


def _gradients(records: Sequence[StepMetrics]) -> str:
    """Compare the gradient norms of the second quarter with those of the last."""
    quarter = len(records) // 4
    if quarter == 0:
        return ""
    early = statistics.median(record.gradient_norm for record in records[quarter : 2 * quarter])
    late = statistics.median(record.gradient_norm for record in records[-quarter:])
    if late > _GROWN * early:
        return f"The gradient norm grew from {early:.2f} to {late:.2f}: the run may blow up; lower the learning rate."
    return f"The gradient norm is calm: {early:.2f} in the second quarter of the run, {late:.2f} in the last."


def _leak(records: Sequence[StepMetrics]) -> str:
    """Notice a validation loss that is too good to be true."""
    for step, loss in validation_curve(records):
        if loss < _IMPOSSIBLE:
            return (
                f"At step {step:,} the validation loss is {loss:.2f}, lower than new text allows: the answers leak in "
                "(a missing mask, targets that are not shifted, validation text in the training part)."
            )
    return ""


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


def _learning_rate_too_high(run: Comparison) -> Cause | None:
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
    if run.deviation("training_loss")[0] <= 0 < run.deviation("training_loss")[-1]:
        signs.append("the first interval was not too slow, and only then the curve got stuck")
        weight += 1
    if run.ratio("gradient_norm") < 0.7:
        signs.append(f"the gradient norm is {run.ratio('gradient_norm'):.2f} times the references', as on a plateau")
        weight += 1
    check = "divide the learning rate by 3 and by 10, for as many steps as the first fifth of the run"
    return Cause("the learning rate is too high", signs, check, weight) if signs else None


def _learning_rate_too_low(run: Comparison) -> Cause | None:
    """Above the band from the first interval on, calm, and still falling."""
    if run.verdict("training_loss") != "above":
        return None
    rate, signs, weight = run.ratio("learning_rate"), [], 0
    if 0 < rate < 1 / MUCH:
        signs.append(f"the learning rate in the record is {rate:.3g} times the references'")
        weight += 3
    if run.deviation("training_loss")[0] > 0 and run.jump() < 0.5:
        signs.append("the curve is too slow from the first interval on, and never rises")
        weight += 1
    if run.late_fall() > 0.02:
        signs.append(f"in its last third it still falls by {run.late_fall():.2f} nats more than the references")
        weight += 1
    check = "multiply the learning rate by 3 and by 10, for as many steps as the first fifth of the run"
    return Cause("the learning rate is too low", signs, check, weight) if signs else None


def _causal_mask_missing(run: Comparison) -> Cause | None:
    """In the band at first, then far below it, in training and in validation: the model has found the answers."""
    below = run.verdict("training_loss") == "below" and run.verdict("validation_loss") != "above"
    if not below or run.last_ratio("training_loss") > COPIED:
        return None
    start = run.ratios("training_loss")[0]
    signs = [f"the training loss ends at {run.last_ratio('training_loss'):.2f} times the references'"]
    weight = 2
    if not _left_at_once(run):
        signs.append(f"it began like theirs ({start:.2f} times in the first interval) and dropped only later")
        weight += 2
    check = "change the last token of an input: no logit before it may move (Chapter 4 shows the test)"
    return Cause("the causal mask is missing", signs, check, weight)


def _targets_not_shifted(run: Comparison) -> Cause | None:
    """Far below the band from the beginning: to repeat the token one is looking at is easily learnt."""
    if run.verdict("training_loss") != "below" or run.last_ratio("training_loss") > COPIED:
        return None
    signs = [f"the training loss ends at {run.last_ratio('training_loss'):.2f} times the references'"]
    weight = 1
    if _left_at_once(run):
        signs.append("it left the band in the first interval")
        weight += 2
        if run.verdict("validation_loss") == "above" and not _began_alike(run):
            signs.append("the validation loss, on correct targets, is too high from the first evaluation on")
            weight += 2
    check = "print one window and its targets as text: the targets are the window, one character later"
    return Cause("the targets are not shifted", signs, check, weight)


def _left_at_once(run: Comparison) -> bool:
    """Return whether the training loss was below the band in the first interval already."""
    return run.deviation("training_loss")[0] < 0


def _began_alike(run: Comparison) -> bool:
    """Return whether the first validation loss was about that of the references."""
    return all(ratio < ALIKE for ratio in run.ratios("validation_loss")[:1])


def _evaluated_with_dropout(run: Comparison) -> Cause | None:
    """Training as it should be, and yet a validation loss that is too high beside it."""
    if run.verdict("training_loss") != "inside" or run.dropout == 0 or not run.gap_is_large():
        return None
    signs = [f"training lies in the band; beside it, validation is {run.late_gap():.2f} nats higher than theirs"]
    check = "score the same windows twice: two values that differ are dropout, and `model.eval()` is missing"
    return Cause("the evaluation runs with dropout on", signs, check, 3)


def _batch_too_small(run: Comparison) -> Cause | None:
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


def _too_little_text(run: Comparison) -> Cause | None:
    """A normal start, then training below the band and validation above it: the model learns by heart."""
    apart = run.verdict("training_loss") == "below" and run.verdict("validation_loss") == "above"
    if not apart or not _began_alike(run):
        return None
    signs = ["after a normal start, the training loss falls below the band and the validation loss rises above it"]
    check = "count the tokens of the training part, and how often the run has gone through them"
    return Cause("there is too little text, and it is learnt by heart", signs, check, 4)


CAUSES: list[Callable[[Comparison], Cause | None]] = [
    _learning_rate_too_high,
    _learning_rate_too_low,
    _causal_mask_missing,
    _targets_not_shifted,
    _evaluated_with_dropout,
    _batch_too_small,
    _too_little_text,
]


def likely_causes(run: Comparison) -> list[Cause]:
    """Return the causes that have a sign in this run, the likeliest first."""
    found = [cause for look in CAUSES if (cause := look(run)) is not None]
    return sorted(found, key=lambda cause: -cause.weight)
