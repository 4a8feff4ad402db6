"""Exercises of the chapter on attention: averages, the masked softmax, the formula, heads, and the test for leaks."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.exercises.engine import diagnose, exercise, expect, expect_shape, expect_type, random_tensor, unchanged
from minigpt.model.attention import naive_attention

CHAPTER = "04_attention"


def future(length: int, diagonal: int = 1) -> Tensor:
    """Return True where a key comes after the query. (T, T)"""
    return torch.ones(length, length, dtype=torch.bool).triu(diagonal)


def weigh(scores: Tensor, diagonal: int = 1, dim: int = -1) -> Tensor:
    """Return the masked softmax, or with other options a mistaken one. (..., T, T)"""
    return scores.masked_fill(future(scores.size(-1), diagonal), -math.inf).softmax(dim)


@exercise(
    chapter=CHAPTER,
    hints=(
        "Which weights give the average of the first three of four rows? A third, a third, a third, and 0.",
        "`torch.ones(T, T).tril()` has ones on and below the diagonal. How many of them stand in row i?",
        "Divide each row of that triangle by its own sum (`keepdim=True` helps), and multiply the result with `x`.",
    ),
)
def causal_average(attempt):
    """Average each row of x (T, C) with all rows before it."""
    x = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 6.0], [0.0, 1.0, 4.0], [1.0, 0.0, 8.0]])
    lower, counts = torch.ones(4, 4).tril(), torch.arange(1.0, 5.0).unsqueeze(1)
    answer = attempt(x)
    expect_type(answer, Tensor)
    without_itself = (lower.tril(-1) @ x)[1:] / counts[:-1]
    leaves_itself_out = answer.shape == x.shape and torch.allclose(answer[1:].float(), without_itself)
    expect(not leaves_itself_out, "each row leaves itself out of its average: the diagonal belongs to the triangle")
    mistakes = {
        "the rows are added up but not divided: the weights of a row should sum to 1": lower @ x,
        "every row is divided by T, but row i is an average of only i + 1 rows": lower @ x / 4,
        "every row is the average of all T rows, so even row 0 sees the future": x.mean(0).expand(4, 3),
        "row i averages itself and the rows after it: that is the other triangle": lower.mT @ x / counts.flip(0),
        "the weights are divided by the sums of their columns: each row should sum to 1": lower / lower.sum(0) @ x,
    }
    diagnose(answer, lower @ x / counts, mistakes)
    longer = random_tensor(9, 2)
    diagnose(attempt(longer), longer.cumsum(0) / torch.arange(1.0, 10.0).unsqueeze(1), {})
    return "row i is the average of rows 0 to i, and of no others"


@exercise(
    chapter=CHAPTER,
    hints=(
        "You need a mask of shape (T, T) that is True where a key comes after the query: above the diagonal.",
        "`torch.ones(T, T, dtype=torch.bool).triu(1)` is that mask, and `masked_fill` puts −∞ where it is True.",
        "Then an ordinary softmax does the rest. A row belongs to a query, so the sum runs over the last dimension.",
    ),
)
def masked_softmax(attempt):
    """Turn scores (..., T, T) into causal weights, whose rows sum to 1."""
    scores = torch.tensor([[0.5, 3.0, 1.0, 2.0], [1.0, 0.0, 2.0, 4.0], [0.0, 2.0, -1.0, 3.0], [1.0, -2.0, 0.0, 0.5]])
    by_value = scores.tril().masked_fill(scores.tril() == 0, -math.inf).softmax(-1)
    only_future = scores.masked_fill(future(4).mT, -math.inf).softmax(-1)
    mistakes = {
        "nothing is masked: keys that come after the query get weight too": scores.softmax(-1),
        "the softmax runs over the queries: the columns sum to 1, but it is the rows that should": weigh(
            scores, dim=-2
        ),
        "the mask is off by one: each query still sees the key right after it": weigh(scores, 2),
        "the mask hides the diagonal too, so row 0 has nothing to look at: a query may see itself": weigh(scores, 0),
        "the mask hides the past and shows the future: it is the other triangle": only_future,
        "the mask comes after the softmax, so the rows no longer sum to 1: mask the scores": scores.softmax(-1).tril(),
        "masked scores become 0, but e to the power 0 is 1, so the future gets weight": scores.tril().softmax(-1),
        "a score that happens to be 0 is masked too: go by the place of a score, not by its value": by_value,
    }
    diagnose(attempt(scores), weigh(scores), mistakes)
    batch = random_tensor(2, 3, 4, 4)
    wrong_dimension = "with (B, H) in front the softmax runs over the wrong dimension: the keys are always the last one"
    diagnose(attempt(batch), weigh(batch), {wrong_dimension: weigh(batch, dim=1)})
    loud = scores.masked_fill(future(4), 1000.0)
    answer = attempt(loud)
    rounds_to_nothing = (
        "very large scores in the future leave 0 / 0 in the past: mask the scores before they are exponentiated"
    )
    expect(not answer.isnan().any(), rounds_to_nothing)
    diagnose(answer, weigh(loud), {})
    steep = torch.tensor([[0.0, 0.0], [1000.0, 0.0]])
    answer = attempt(steep)
    expect(not answer.isnan().any(), "a score of 1000 overflows when it is exponentiated: leave that to the softmax")
    diagnose(answer, weigh(steep), {})
    low = torch.tensor([[-400.0, 0.0], [-400.0, -401.0]])
    as_number = "the mask is a number of your own, and scores may be lower still: use −∞"
    diagnose(attempt(low), weigh(low), {as_number: low.masked_fill(future(2), -100.0).softmax(-1)})
    return "every row sums to 1, and no score of the future can change it"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three lines: scores, weights, mixed values. The second is the exercise before this one.",
        "`k.transpose(-2, -1)` turns (…, T, D) into (…, D, T), so that `q @ …` compares every query with every key.",
        "D is `q.size(-1)`: divide by its square root before the mask, and return the pair `weights @ v, weights`.",
    ),
)
def scaled_attention(attempt):
    """Return mixed values (B, H, T, D) and weights (B, H, T, T)."""
    q, k, v = (2 * random_tensor(2, 2, 5, 4, seed=seed) for seed in (1, 2, 3))
    scores, root = q @ k.mT, 2.0
    right = weigh(scores / root)
    answer = attempt(q, k, v)
    expect_type(answer, (tuple, list), "two things are asked for, the mixed values and the weights: return y, weights")
    expect(len(answer) == 2, f"two things are asked for, y and weights, but there are {len(answer)}")
    wrong_weights = {
        "the scale is missing: divide the scores by the square root of D": weigh(scores),
        "the scores are divided by D itself: their spread grows like the square root of D": weigh(scores / 4),
        "the scores are divided by √C, but a dot product has only D terms, the width of a head": weigh(scores / 8**0.5),
        "the scores are divided by √T, but a dot product has D terms": weigh(scores / 5**0.5),
        "the scores are multiplied by √D: divide instead": weigh(scores * root),
        "the weights are divided by √D: scale the scores, before the softmax": weigh(scores) / root,
        "the softmax runs over the queries: the rows of the weights should sum to 1": weigh(scores / root, dim=-2),
        "there is no mask: the first query sees every key": (scores / root).softmax(-1),
        "the mask is off by one: every query sees the key right after it": weigh(scores / root, 2),
        "the mask comes after the softmax, so the weights of a row do not sum to 1": (scores / root).softmax(-1).tril(),
        "queries and keys have changed places: a row belongs to a query": weigh(scores.mT / root),
    }
    mistakes = {sentence: (weights @ v, weights) for sentence, weights in wrong_weights.items()}
    mistakes["the weights mix the keys: it is the values that are handed over"] = (right @ k, right)
    mistakes["the weights are transposed before they mix the values"] = (right.mT @ v, right)
    mistakes["the second answer should be the weights, but these are the scores"] = (right @ v, scores / root)
    hidden = (scores / root).masked_fill(future(5), -math.inf)
    mistakes["the second answer should be the weights, but these are the masked scores"] = (right @ v, hidden)
    mistakes["the two answers have changed places: first y, then the weights"] = (right, right @ v)
    diagnose(answer, (right @ v, right), mistakes)
    return "these are the numbers of `naive_attention`"


def labelled(*sizes: int) -> Tensor:
    """Return a tensor whose entries spell their own indices: entry [1, 2, 3] is 123."""
    digits = torch.meshgrid(*(torch.arange(float(size)) for size in sizes), indexing="ij")
    return sum(digit * 10**place for place, digit in enumerate(reversed(digits)))


@exercise(
    chapter=CHAPTER,
    hints=(
        "First cut the last dimension only: C channels become H groups of D. The order of the numbers stays as it is.",
        "`view` or `unflatten` gives (B, T, H, D). Which two dimensions have to change places now?",
        "`transpose(1, 2)` makes (B, H, T, D) of it.",
    ),
)
def split_heads(attempt):
    """Cut x (B, T, C) into n_head groups of channels, (B, H, T, D)."""
    x = labelled(2, 6, 8)
    cut = x.view(2, 6, 2, 4)
    mistakes = {
        "the shape is right, but times and channels are mixed up: `view` cannot reorder, so transpose": x.view(
            2, 2, 6, 4
        ),
        "each head takes every other channel: it should get D neighbours": x.view(2, 6, 4, 2).permute(0, 3, 1, 2),
        "the heads stand after the time, (B, T, H, D): move them before it": cut,
        "the number of heads and their width have changed places": x.view(2, 6, 4, 2).transpose(1, 2),
        "the heads stand before the batch: (B, H, T, D) is asked for": cut.permute(2, 0, 1, 3),
        "time and width have changed places within each head": cut.permute(0, 2, 3, 1),
        "it is the time that is cut into pieces: cut the channels": torch.stack(x.chunk(2, dim=1), dim=1),
    }
    diagnose(attempt(x, 2), cut.transpose(1, 2), mistakes)
    single = random_tensor(1, 4, 6)
    diagnose(attempt(single, 1), single.unsqueeze(1), {})
    diagnose(attempt(single, 3), single.view(1, 4, 3, 2).transpose(1, 2), {})
    return "head h holds the channels h·D to (h + 1)·D − 1 of every position"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Undo `split_heads` step by step, in the opposite order: first the transpose, then the cut.",
        "After `transpose(1, 2)` the shape is (B, T, H, D), and the last two dimensions become one.",
        "`flatten(2)` joins them. (`view` would complain here, since a transposed tensor is not in order in memory.)",
    ),
)
def merge_heads(attempt):
    """Lay the heads of y (B, H, T, D) side by side again, (B, T, C)."""
    y = labelled(2, 2, 3, 4)
    mistakes = {
        "the shape is right but positions are mixed up: transpose H and T before you flatten": y.reshape(2, 3, 8),
        "the channels of the heads alternate: one head comes after the other": y.permute(0, 2, 3, 1).flatten(2),
        "the heads are added up: they should stand side by side": y.sum(1),
        "the heads are averaged: they should stand side by side": y.mean(1),
        "the heads stand one after the other in time: they should stand side by side in the channels": y.flatten(1, 2),
        "the heads are not joined yet, (B, T, H, D): flatten the last two dimensions": y.transpose(1, 2),
        "the channels stand before the time: (B, T, C) is asked for": y.transpose(1, 2).flatten(2).mT,
    }
    diagnose(attempt(y), y.transpose(1, 2).flatten(2), mistakes)
    single = random_tensor(1, 1, 4, 6)
    diagnose(attempt(single), single.squeeze(1), {})
    return "position by position, the heads stand side by side again"


@exercise(
    chapter=CHAPTER,
    kind="module",
    hints=(
        "Make three layers in `__init__`, named query, key and value: `nn.Linear(width, head_dim, bias=False)`.",
        "In `forward`, apply each of them to x. You then have q, k and v of shape (B, T, D), as in the chapter.",
        "The rest is the formula. Build the mask from `x.size(1)`, since T may change from call to call.",
    ),
)
def causal_head(attempt):
    """Write a causal attention head with the layers query, key, value."""
    width, size = 8, 4
    x = random_tensor(2, 5, width, seed=4)
    head = attempt(width, size)
    with unchanged(x=x):
        answer = head(x)
    layers = {}
    for number, name in enumerate(("query", "key", "value")):
        layer = getattr(head, name, None)
        expect(isinstance(layer, nn.Linear), f"the layer `{name}` is missing: make it an nn.Linear in `__init__`")
        expect_shape(layer.weight, (size, width), f"the layer `{name}` should map {width} channels to {size}")
        expect(layer.bias is None, f"the layer `{name}` has a bias: pass bias=False")
        with torch.no_grad():
            layer.weight.copy_(random_tensor(size, width, seed=number))
        layers[name] = layer
    with unchanged(x=x):
        answer = head(x)
    q, k, v = (layer(x) for layer in layers.values())
    scores, root = q @ k.mT, math.sqrt(size)
    right = weigh(scores / root)
    mistakes = {
        "the scale is missing: divide the scores by the square root of the head's width": weigh(scores) @ v,
        "the scores are divided by √C, but a dot product has only D terms": weigh(scores / width**0.5) @ v,
        "the scores are divided by D itself, not by its square root": weigh(scores / size) @ v,
        "the softmax runs over the queries: the rows of the weights should sum to 1": weigh(scores / root, dim=-2) @ v,
        "the softmax runs over the batch: the keys are the last dimension": weigh(scores / root, dim=0) @ v,
        "there is no mask, so every position sees the future": (scores / root).softmax(-1) @ v,
        "the mask is off by one: every position sees the next one": weigh(scores / root, 2) @ v,
        "the mask comes after the softmax: mask the scores instead": (scores / root).softmax(-1).tril() @ v,
        "queries and keys have changed places": weigh(scores.mT / root) @ v,
        "the weights mix the keys: it is the values that are handed over": right @ k,
        "the weights mix the input itself: hand over the values": right @ x,
    }
    diagnose(answer, right @ v, mistakes)
    expect_shape(
        head(x[:, :3]), (2, 3, size), "with fewer positions the answer has another shape: take T from the input"
    )
    diagnose(head(x[:1, :3]), (right @ v)[:1, :3], {})
    return "one head, ready to stand beside others"


def from_mask(visible: Tensor) -> nn.Module:
    """Return a layer whose output i is the sum of the inputs that row i of the mask lets it see."""

    class Layer(nn.Module):
        def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
            return visible[: x.size(1), : x.size(1)] @ x

    return Layer()


SLY = {
    "text": "it misses a layer that leaks in the last text of the batch only: look at all of them",
    "channel": "it misses a layer that leaks in the last channel only: look at all of them",
    "sum": "it misses a leak whose changes add up to 0: compare the outputs one by one, not their sum",
    "norm": "it misses a leak before a LayerNorm, whose outputs always add up to 0: compare them one by one",
}


class LeakyAttention(nn.Module):
    """Attention that masks after the softmax, so that only the denominators know the future."""

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return (x @ x.mT / math.sqrt(x.size(-1))).softmax(dim=-1).tril() @ x


class Sly(nn.Module):
    """A layer that sees later inputs in one place only: in one text, in one channel, or so that the changes cancel."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        past, later = x.cumsum(1), x.flip(1).cumsum(1).flip(1) - x  # what came so far, and what is to come
        if self.where == "text":
            return past + later * torch.arange(x.size(0)).eq(x.size(0) - 1).view(-1, 1, 1)
        if self.where == "channel":
            return past + later * torch.arange(x.size(2)).eq(x.size(2) - 1)
        if self.where == "norm":
            return F.layer_norm(past + later.square(), x.shape[-1:], eps=1e-12)
        return past + later[:, :, :1] * torch.tensor([1.0, -1.0] + [0.0] * (x.size(2) - 2))


class HonestAttention(nn.Module):
    """Causal attention with x as queries, keys and values."""

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return naive_attention(x, x, x)[0]


@exercise(
    chapter=CHAPTER,
    hints=(
        "Two ways lead there: change an input and see which outputs change, or ask for gradients.",
        "To change only the last input, or to look only at the first output, is not enough. Why?",
        "For each place t ≥ 1: copy x, change `[:, t]`, run the layer again. Outputs `[:, :t]` must all be as before.",
    ),
)
def sees_the_future(attempt):
    """Say whether any output of a layer depends on a later input."""
    x, lower = random_tensor(2, 5, 3), torch.ones(5, 5).tril()
    first_sees_last, fourth_sees_fifth = lower.clone(), lower.clone()
    first_sees_last[0, 4] = fourth_sees_fifth[3, 4] = 1
    leaks = {
        "it finds no leak in a layer without any mask, whose outputs all see all inputs": torch.ones(5, 5),
        "it misses a mask that is off by one, where each output sees the very next input": torch.ones(5, 5).tril(1),
        "it misses a layer in which only the first output sees the last input": first_sees_last,
        "it misses a layer in which only the last but one output sees the last input": fourth_sees_fifth,
    }
    answer = attempt(HonestAttention(), x)
    several = isinstance(answer, Tensor) and answer.dtype == torch.bool
    expect(not several, "the answer should be a single True or False, not one for each place")
    expect_type(answer, bool, "the answer should be True or False")
    if answer:
        expect(
            not attempt(from_mask(torch.zeros(5, 5)), x), "it accuses a layer whose outputs depend on nothing at all"
        )
        expect(
            not attempt(from_mask(torch.eye(5)), x), "it accuses a layer whose outputs see nothing but their own input"
        )
    expect(not answer, "it accuses causal attention, but an output may depend on earlier inputs")
    for mistake, visible in leaks.items():
        expect(attempt(from_mask(visible), x), mistake)
    second_sees_third = lower.clone()
    second_sees_third[1, 2] = 1
    in_the_middle = "it misses a layer in which only the second output sees the third input: change every input"
    expect(attempt(from_mask(second_sees_third), x), in_the_middle)
    for where, mistake in SLY.items():
        expect(attempt(Sly(where), x), mistake)
    through_the_sum = "it misses a mask that comes after the softmax, which leaks a little through the denominators"
    expect(attempt(LeakyAttention(), x), through_the_sum)
    return "use it on every attention layer that you write"
