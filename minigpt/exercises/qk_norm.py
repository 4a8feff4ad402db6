"""Exercises of the chapter on RMSNorm: norms of queries and keys."""

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect_close, random_tensor
from minigpt.exercises.norms import CHAPTER, EPSILON, rms


@exercise(
    chapter=CHAPTER,
    hints=(
        "Make the heads a dimension of their own: (B, T, C) becomes (B, T, H, D).",
        "`x.unflatten(-1, (n_head, -1))` does that, and `.flatten(-2)` comes back.",
        "In between, it is the norm of this chapter over the last dimension; a weight of shape (D) fits by itself.",
    ),
)
def norm_by_head(attempt):
    """Return x, (B, T, C), with the D channels of every head normed by themselves and multiplied by a weight (D)."""
    x, weight = random_tensor(2, 3, 6) * torch.tensor([1.0, 1.0, 1.0, 5.0, 5.0, 5.0]), torch.tensor([0.5, 1.0, 2.0])
    right = by_head(x, weight, 2)
    woven = x.unflatten(-1, (-1, 2))  # (B, T, D, H)
    mistakes = {
        "one size serves all heads: every head has its own": x / rms(x) * weight.repeat(2),
        "the weight is missing": by_head(x, torch.ones(3), 2),
        "the weight is spread out, not repeated: its D numbers start anew with each head": by_head(x, torch.ones(3), 2)
        * weight.repeat_interleave(2),
        "the heads are woven into each other: a head owns neighbouring channels": (
            woven / woven.square().mean(dim=-2, keepdim=True).add(EPSILON).sqrt() * weight[:, None]
        ).flatten(-2),
        "this divides by the length of a head's vector, not by its root mean square": by_head(x, weight, 2) / 3**0.5,
        "the mean of each head is subtracted, which RMSNorm does not do": (
            F.layer_norm(x.unflatten(-1, (2, 3)), (3,)) * weight
        ).flatten(-2),
        "the sizes are taken over the heads, not over the channels of a head": (
            x.unflatten(-1, (2, 3))
            / x.unflatten(-1, (2, 3)).square().mean(dim=-2, keepdim=True).add(EPSILON).sqrt()
            * weight
        ).flatten(-2),
    }
    diagnose(attempt(x, weight, 2), right, mistakes)
    weight = random_tensor(2, seed=1)
    expect_close(attempt(x, weight, 3), by_head(x, weight, 3), "with three heads of two channels it comes out wrong")
    return "these are the queries that attention multiplies with the keys"


def by_head(x: Tensor, weight: Tensor, n_head: int) -> Tensor:
    """Return x with every head normed by itself: (B, T, C) -> (B, T, C)."""
    heads = x.unflatten(-1, (n_head, -1))  # (B, T, H, D)
    return (heads / rms(heads) * weight).flatten(-2)


@exercise(
    chapter=CHAPTER,
    hints=(
        "The score is the sum of a_d · b_d times q̂_d · k̂_d. You may choose q̂ and k̂, two vectors of length √D.",
        "Spreading their length over several channels cannot pay: put all of it where a_d · b_d is largest in size.",
        "With q̂ = k̂ = √D in that one channel, the score is a_d · b_d · D / √D. Signs can be had either way.",
    ),
)
def largest_score(attempt):
    """Return the largest size that a score can have after QK-norm with these weights, two tensors (D), a number."""
    a, b = torch.tensor([1.0, -4.0, 2.0, 0.5]), torch.tensor([3.0, 2.0, 0.5, -1.0])
    product = a * b  # 3, -8, 1, -0.5
    mistakes = {
        "the largest weights of the two norms belong to different channels: a channel multiplies its own two": 2 * 12.0,
        "without the size of a_d · b_d: a negative product makes a large score too, with one sign turned": 2
        * product.max().item(),
        "this is the score when both vectors have 1 in all channels: put their length where it counts most": (
            product.abs().sum().item() / 2
        ),
        "the weights play no part: √D is the bound when all of them are 1": 2.0,
        "the division by √D is missing": 4 * 8.0,
        "this divides by √D once too often: the two vectors have the length √D each": 8.0 / 2,
        "√D is missing: the two vectors have the length √D each, and the score is divided by √D once": 8.0,
    }
    diagnose(attempt(a, b), 16.0, mistakes, atol=1e-4)
    ones = attempt(torch.ones(9), torch.ones(9))
    expect_close(ones, 3.0, "with all weights 1 and nine channels the bound is √9 = 3")
    return "no text whatever can make this head score higher"
