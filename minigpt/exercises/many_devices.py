"""Exercises of the chapter on training at scale that are about shards, several devices, and how busy they are."""

import torch
from torch import Tensor

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import Mistake, diagnose, expect, expect_shape, expect_type, random_tensor

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
