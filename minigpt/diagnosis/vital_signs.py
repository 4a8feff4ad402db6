"""What can be said about any training run, without knowing what other runs of its kind did."""

import math
import statistics
from collections.abc import Sequence

from minigpt.training.records import Record, validation_curve

NEAR = 0.5  # nats between the first loss and ln V that are no reason to worry
GAP = 0.3  # nats between validation and training that show learning by heart
GROWN = 3.0  # a gradient norm that grows this many times over the run is about to blow up
JUMP = 0.5  # nats above the first loss that no batch explains by chance
IMPOSSIBLE = 0.3  # nats per token that no text allows which was not seen before


def vital_signs(records: Sequence[Record], vocab_size: int | None = None) -> list[str]:
    """Return a sentence for each sign: the first loss, the fall, jumps, the gap, the gradient norms."""
    signs = [start(records, vocab_size), fall(records), rise(records), gap(records), gradients(records), leak(records)]
    return [sign for sign in signs if sign]


def start(records: Sequence[Record], vocab_size: int | None) -> str:
    """Compare the first loss with that of a uniform guess."""
    if vocab_size is None or records[0].step != 1:
        return ""
    loss, uniform = records[0].loss, math.log(vocab_size)
    if abs(loss - uniform) <= NEAR:
        return f"The first loss, {loss:.2f}, is near ln {vocab_size} = {uniform:.2f}, as it should be."
    return (
        f"The first loss is {loss:.2f} and should be near ln {vocab_size} = {uniform:.2f}: look at the initialisation."
    )


def fall(records: Sequence[Record]) -> str:
    """Compare the first fifth of the training losses with the last."""
    part = max(1, len(records) // 5)
    first, last = (statistics.fmean(r.loss for r in some) for some in (records[:part], records[-part:]))
    if last < first - 0.01:
        return f"The training loss falls: {first:.2f} on average in the first fifth of the run, {last:.2f} in the last."
    return f"The training loss does not fall ({first:.2f}, later {last:.2f}): overfit one batch before anything else."


def rise(records: Sequence[Record]) -> str:
    """Notice a training loss that jumps above where it started."""
    highest = max(records, key=lambda record: record.loss)
    jump = highest.loss - records[0].loss
    if jump < JUMP:
        return ""
    return f"At step {highest.step:,} the loss is {jump:.1f} above where it started: lower the learning rate."


def gap(records: Sequence[Record]) -> str:
    """Compare the last validation loss with the training loss around it."""
    curve = validation_curve(records)
    if not curve:
        return "There is no validation loss yet, so nothing can be said about other text."
    part = records[-max(1, len(records) // 10) :]
    (last_step, last), (best_step, _) = curve[-1], min(curve, key=lambda point: point[1])
    distance = last - statistics.fmean(record.loss for record in part)
    if distance > GAP and best_step != last_step:
        return (
            f"The validation loss is {distance:.2f} above the training loss and was lowest at step {best_step:,}: "
            "the model learns by heart, so keep that checkpoint."
        )
    return f"The last validation loss minus the training loss is {distance:.2f}."


def gradients(records: Sequence[Record]) -> str:
    """Compare the gradient norms of the second quarter with those of the last."""
    quarter = len(records) // 4
    if quarter == 0:
        return ""
    early = statistics.median(record.gradient_norm for record in records[quarter : 2 * quarter])
    late = statistics.median(record.gradient_norm for record in records[-quarter:])
    if late > GROWN * early:
        return f"The gradient norm grew from {early:.2f} to {late:.2f}: the run may blow up; lower the learning rate."
    return f"The gradient norm is calm: {early:.2f} in the second quarter of the run, {late:.2f} in the last."


def leak(records: Sequence[Record]) -> str:
    """Notice a validation loss that is too good to be true."""
    for step, loss in validation_curve(records):
        if loss < IMPOSSIBLE:
            return (
                f"At step {step:,} the validation loss is {loss:.2f}, lower than new text allows: the answers leak in "
                "(a missing mask, targets that are not shifted, validation text in the training part)."
            )
    return ""
