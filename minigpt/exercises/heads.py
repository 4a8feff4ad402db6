"""Exercises of the chapter on attention: channels split into heads and joined again, and a head of one's own."""

import math

import torch
from torch import Tensor, nn

from minigpt.exercises.attention import CHAPTER, weigh
from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_shape, random_tensor, unchanged


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
