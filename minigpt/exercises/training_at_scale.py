"""Exercises of the chapter on training at scale: shards, numbers of two bytes, and several devices."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minigpt.exercises.engine import (
    Mistake,
    diagnose,
    exercise,
    expect,
    expect_close,
    expect_shape,
    expect_type,
    random_tensor,
)

CHAPTER = "15_training_at_scale"


class _Shard:
    """A piece of a text on disk that notes how much of it was read."""

    def __init__(self, ids: Tensor) -> None:
        self.ids = ids
        self.read = 0

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: slice) -> Tensor:
        if not isinstance(key, slice):
            raise Mistake("the shards are read id by id: cut a slice out of each, which is one reading")
        found = self.ids[key]
        self.read += len(found)
        return found


@exercise(
    chapter=CHAPTER,
    hints=(
        "Where in the whole text does each shard begin? Keep count while you go through them.",
        "In a shard that begins at `begin`, the window lies from `start - begin` to `stop - begin`.",
        "Python reads a negative index from the end, so cut off below: `max(0, start - begin)`. Join with `torch.cat`.",
    ),
)
def cut_window(attempt):
    """Return the ids from start up to stop of a text that lies in several shards, without reading the rest."""
    ids = torch.arange(40) * 7 % 101
    sizes = (12, 3, 9, 16)

    def cut(start: int, stop: int) -> tuple[Tensor, int]:
        shards = [_Shard(part) for part in ids.split(sizes)]
        return attempt(shards, start, stop), sum(shard.read for shard in shards)

    inside, read = cut(2, 6)
    expect_type(inside, Tensor)
    diagnose(inside, ids[2:6], {"`stop` itself does not belong to the window": ids[2:7]})
    expect(read == 4, f"{read} ids were read for a window of 4: cut each shard before you join the pieces")
    later, _ = cut(26, 30)
    wrong = {
        "the window is looked for at the same place in the wrong shard: subtract where the shard begins": ids[:0],
        "this is the beginning of the shard: the window begins further in": ids[24:28],
    }
    diagnose(later, ids[26:30], wrong)
    across, read = cut(9, 18)
    mistakes = {
        "the window ends where its first shard ends: go on with the next one": ids[9:12],
        "a negative index counts from the end of a shard: cut it off at 0": _with_negative_indices(ids, sizes, 9, 18),
        "the shard in the middle is left out, which the window spans whole": torch.cat((ids[9:12], ids[15:18])),
        "the pieces are joined in the wrong order": torch.cat((ids[15:18], ids[12:15], ids[9:12])),
    }
    diagnose(across, ids[9:18], mistakes)
    expect(read == 9, f"{read} ids were read for a window of 9: the whole text need not be read")
    at_the_border, _ = cut(12, 15)
    diagnose(at_the_border, ids[12:15], {"an id is lost where a shard ends": ids[13:15]})
    return "a window costs what it holds, however long the text is"


def _with_negative_indices(ids: Tensor, sizes: tuple[int, ...], start: int, stop: int) -> Tensor:
    pieces, begin = [], 0
    for shard in ids.split(sizes):
        pieces.append(shard[start - begin : stop - begin])
        begin += len(shard)
    return torch.cat(pieces)


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write down (15.2) for an ordinary number first; the bias is 2^(k - 1) - 1.",
        "An exponent of 0 is special: the hidden digit is 0 instead of 1, and the power stays at 1 - bias.",
        "The largest exponent, 2^k - 1, is special too: infinity if the fraction is 0, and otherwise `math.nan`.",
    ),
)
def float_value(attempt):
    """Return the number that a sign bit, an exponent and a fraction stand for, in any layout."""
    small = {
        "the hidden digit is missing: the fraction stands behind a 1": -1.0,
        "the sign is lost": 5.0,
        "the bias is 2^(k - 1) − 1, one less than half of the exponents": -2.5,
        "this is the bias of float32: it depends on the number of exponent bits": -(2.0**-110) * 1.25,
        "the bias is not subtracted from the exponent": -(2.0**17) * 1.25,
        "the fraction is a whole number here: divide it by 2^m": -4.0 * 257,
        "the fraction is divided by 2^k: that is the exponent's width, not its own": -4.0 * (1 + 256 / 32),
        "the hidden digit is added to the whole number, not multiplied by its power": -(1 + 4.0 * 0.25),
    }
    diagnose(attempt(1, 17, 256, 5, 10), -5.0, small, atol=1e-9, rtol=1e-9)
    wide = {
        "this is right for float16 only: bias and fraction depend on the layout": 2.0 ** (130 - 15) * (1 + 32 / 1024)
    }
    diagnose(attempt(0, 130, 32, 8, 7), 10.0, wide, atol=1e-9, rtol=1e-9)
    expect(attempt(0, 0, 0, 5, 10) == 0, "with an exponent and a fraction of 0 this should be 0")
    unit = 2.0**24  # so that small numbers can be told apart
    subnormal = {
        "an exponent of 0 has no hidden 1: these are the last numbers before zero": 2.0**-15 * (1 + 3 / 1024) * unit,
        "an exponent of 0 has no hidden 1, and its power is that of exponent 1": 2.0**-14 * (1 + 3 / 1024) * unit,
        "with an exponent of 0 the power stays at 1 − bias, or there would be a gap": 1.5,
        "an exponent of 0 does not always mean zero: the fraction still counts": 0.0,
    }
    diagnose(attempt(0, 0, 3, 5, 10) * unit, 3.0, subnormal, atol=1e-9, rtol=1e-9)
    largest = attempt(0, 31, 0, 5, 10)
    expect(largest == math.inf, "an exponent of all ones with a fraction of 0 means infinity")
    expect(attempt(1, 31, 0, 5, 10) == -math.inf, "infinity has a sign, too")
    expect(math.isnan(attempt(0, 31, 7, 5, 10)), "all ones and a fraction above 0 mean that it is not a number")
    expect_close(attempt(0, 30, 1023, 5, 10), 65504.0, "the largest float16 should be 65,504")
    return "with 5 and 10 bits this is float16, with 8 and 7 bfloat16, with 8 and 23 float32"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three things happen, and their order is the exercise: divide, look, clip.",
        "`gradient.isfinite().all()` is false for infinities and for what is not a number.",
        "Clip as in Chapter 6: the norm of all gradients together, one factor for all, never above 1.",
    ),
)
def prepare_gradients(attempt):
    """Return the gradients divided by the scale and clipped to a global norm, or the text "skip"."""
    scale = 64.0
    true = [torch.tensor([3.0, -4.0]), torch.tensor([[0.0, 12.0], [0.0, 84.0]])]  # norms 5 and 84.9, together 85
    scaled = [gradient * scale for gradient in true]
    found = attempt(scaled, scale, 17.0)
    expect(found != "skip", "these gradients are finite, so the step should not be skipped")
    expect_type(found, (list, tuple), f"a list of tensors is asked for, not a {type(found).__name__}")
    expect(len(found) == 2, f"there are {len(found)} tensors in the answer, but 2 gradients came in")
    for tensor, gradient in zip(found, true, strict=True):
        expect_shape(tensor, tuple(gradient.shape))
    factor = 17.0 / 85.0
    mistakes = {
        "they are clipped before they are unscaled, so they end far below the limit": [
            g * factor / scale for g in true
        ],
        "they are multiplied by the scale once more: divide by it": [g * factor * scale for g in true],
        "they are not divided by the scale": scaled,
        "they are not clipped": true,
        "each tensor is clipped by itself: one factor for all": [g * min(1.0, 17.0 / g.norm().item()) for g in true],
    }
    _diagnose_list(found, [g * factor for g in true], mistakes)
    short = attempt([torch.tensor([30.0, 40.0])], 100.0, 17.0)
    _diagnose_list(
        short,
        [torch.tensor([0.3, 0.4])],
        {"gradients that are short enough are scaled up to the limit": [torch.tensor([10.2, 13.6])]},
    )
    refused = {name: _refuses(attempt, number) for name, number in _SPOILT.items()}
    expect(any(refused.values()), 'with an infinity or a nan among the gradients the answer is "skip"')
    for name, is_refused in refused.items():
        expect(is_refused, f"{name} slips through: `isfinite` is false for every number that must not be used")
    return "the optimizer never sees a scaled gradient, and never an infinite one"


_SPOILT = {"an infinity": math.inf, "minus infinity": -math.inf, "a nan": math.nan}


def _refuses(attempt: Callable, spoilt: float) -> bool:
    answer = attempt([torch.tensor([1.0, 2.0]), torch.tensor([0.5, spoilt])], 64.0, 17.0)
    return isinstance(answer, str) and answer == "skip"


def _diagnose_list(found: Sequence[Tensor], correct: list[Tensor], mistakes: dict[str, list[Tensor]]) -> None:
    diagnose(_flat(found), _flat(correct), {sentence: _flat(wrong) for sentence, wrong in mistakes.items()})


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().float().flatten() for tensor in tensors])


@exercise(
    chapter=CHAPTER,
    hints=(
        "Two cases: an overflow, or a good step. In both of them both numbers may change.",
        "An overflow halves the scale and makes the counting begin anew.",
        "A good step adds one to the count; when the count has reached the interval, the scale doubles and it begins anew.",
    ),
)
def next_scale(attempt):
    """Return the loss scale and the count of good steps after a step, as dynamic scaling moves them."""
    answer = attempt(1024.0, 5, True, 10)
    expect_type(answer, (tuple, list), "two numbers are asked for: return scale, good_steps")
    expect(len(answer) == 2, f"two numbers are asked for (scale, good_steps), but {len(answer)} came back")
    after_overflow = {
        "an overflow makes the scale smaller, not larger": [2048.0, 0],
        "after an overflow the count begins anew, or the scale climbs back too soon": [512.0, 5],
        "a step that was skipped is no good step": [512.0, 6],
        "the scale is the same after an overflow, so the next step overflows too": [1024.0, 0],
        "the two numbers are swapped: scale first": [0, 512.0],
    }
    diagnose(answer, [512.0, 0], after_overflow)
    between = {
        "the scale doubles after every good step: wait for `growth_interval` of them": [2048.0, 0],
        "the good step is not counted": [1024.0, 5],
        "the scale doubles and the step is counted: it is not yet time": [2048.0, 6],
    }
    diagnose(attempt(1024.0, 5, False, 10), [1024.0, 6], between)
    at_the_end = {
        "the interval is reached with this step, so the scale doubles now, not one step later": [1024.0, 10],
        "when the scale has doubled, the count begins anew": [2048.0, 10],
        "the count begins anew at 0: this step belonged to the old interval": [2048.0, 1],
        "the interval is over, but the scale has not grown": [1024.0, 0],
    }
    diagnose(attempt(1024.0, 9, False, 10), [2048.0, 0], at_the_end)
    diagnose(attempt(8.0, 9, True, 10), [4.0, 0], {"an overflow counts, even at an interval's end": [16.0, 0]})
    return "this is how the scale follows the gradients, from above, for the whole run"


@exercise(
    chapter=CHAPTER,
    hints=(
        "What would everybody have after an all-reduce that takes the mean?",
        "Device r keeps only the r-th of n equal pieces of it: `mean.chunk(n)[r]`.",
        "The mean over devices is a mean over the list: `torch.stack(gradients).mean(0)`.",
    ),
)
def reduce_scatter(attempt):
    """Return for each device its own piece of the mean of all devices' gradients."""
    gradients = [random_tensor(6, seed=seed) for seed in range(3)]
    stacked = torch.stack(gradients)  # (n, P)
    mean = stacked.mean(0)  # (P,)
    found = attempt(gradients)
    expect_type(found, (list, tuple), f"a list of tensors is asked for, not a {type(found).__name__}")
    expect(len(found) == 3, f"there are {len(found)} tensors in the answer, but 3 devices")
    if all(isinstance(one, Tensor) and one.shape == (6,) for one in found):
        raise Mistake("everybody has the whole mean: that is an all-reduce, and each needs only its own piece")
    for piece in found:
        expect_shape(piece, (2,))
    mistakes = {
        "these are sums: the step is to be along the mean": stacked.sum(0).chunk(3),
        "each device keeps a piece of its own gradient, and nobody has added anything": [
            gradient.chunk(3)[rank] for rank, gradient in enumerate(gradients)
        ],
        "all devices get the same piece: device r needs the r-th": [mean.chunk(3)[0]] * 3,
        "the numbers are dealt out like cards: a device's piece is in one stretch": [
            mean[rank::3] for rank in range(3)
        ],
        "the mean is divided by the number of devices once more": (mean / 3).chunk(3),
        "each piece has been replaced by its neighbour's": [mean.chunk(3)[(rank + 1) % 3] for rank in range(3)],
        "the pieces are in the opposite order": mean.chunk(3)[::-1],
    }
    correct = torch.stack(mean.chunk(3))
    diagnose(
        torch.stack(list(found)), correct, {sentence: torch.stack(list(wrong)) for sentence, wrong in mistakes.items()}
    )
    return "each device can now take its part of the step, and no one has to hold the whole gradient"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Begin with the operations per token of a training step: (10.8) and (10.9), with F = 4C.",
        "The blocks have 12·L·C² entries in matrices and the head V·C; attention adds 4·L·T·C in the forward pass.",
        "Tokens per second times operations per token is what was done; `devices * peak` is what could have been.",
    ),
)
def flops_utilisation(attempt):
    """Return the share of their best speed that devices reach in training, by (15.10)."""
    sizes = {"n_layer": 3, "width": 20, "vocab_size": 70, "block_size": 32}
    blocks, head, attention = 12 * 3 * 400, 70 * 20, 4 * 3 * 32 * 20
    token = 3 * (2 * (blocks + head) + attention)
    rate, devices, peak = 1000.0, 4, 1e8
    correct = rate * token / (devices * peak)
    mistakes = {
        "this is what one device would have to reach: there are `devices` of them": correct * devices,
        "this counts the forward pass only: a training step is three times as much": correct / 3,
        "attention itself computes too, 4·L·T·C a token in the forward pass": rate * 6 * (blocks + head) / (4 * peak),
        "the head is a matrix product as well": rate * 3 * (2 * blocks + attention) / (4 * peak),
        "a matrix entry is multiplied and added: two operations": rate * 3 * (blocks + head + attention) / (4 * peak),
        "this is a percentage: a share between 0 and 1 is asked for": 100 * correct,
        "this is upside down: what could be done over what was done": 1 / correct,
        "the token table is looked up, not multiplied: it costs nothing": rate
        * 3
        * (2 * (blocks + 2 * head) + attention)
        / (4 * peak),
    }
    diagnose(attempt(rate, devices, peak, **sizes), correct, mistakes, atol=1e-12, rtol=1e-6)
    return "a share that is above 1 says that the clock was stopped too early"
