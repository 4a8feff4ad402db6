"""Exercises of the chapter on RMSNorm: precision, the backward pass, norms of queries and keys, and LayerNorm again."""

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, expect_shape, expect_type, random_tensor

CHAPTER = "21_rmsnorm"

EPSILON = 1e-5


def rms(x: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Return the root mean square of every place: (..., C) -> (..., 1)."""
    return (x.square().mean(dim=-1, keepdim=True) + epsilon).sqrt()


@exercise(
    chapter=CHAPTER,
    without=("rms_norm",),
    hints=(
        "Only the inside has to be precise: what comes in and what goes out may stay float16.",
        "`x.float()` is the same tensor in float32. Take the squares of that one.",
        "Divide in float32 as well, multiply by the weight, and come back with `.half()` at the very end.",
    ),
)
def half_rms_norm(attempt):
    """Return RMSNorm of x, (B, T, C) in float16, times a weight (C), in float16 and without overflow."""
    x = (100 * random_tensor(2, 3, 4)).half()
    x[0, 0] = torch.tensor([300.0, -400.0, 20.0, 5.0])
    weight = torch.tensor([0.5, 1.0, 1.5, 2.0]).half()
    wide = x.float()
    right = wide / rms(wide) * weight.float()  # (B, T, C)
    mistakes = {
        "the weight is missing": wide / rms(wide),
        "the squares overflow: 300² is infinite in float16, and dividing by it leaves 0": x / rms(x) * weight,
        "this divides by the length, not by the root mean square: a mean is missing": F.normalize(wide, dim=-1)
        * weight,
        "the mean is subtracted, which RMSNorm does not do": F.layer_norm(wide, (4,)) * weight,
        "this divides by the mean square: its root is missing": wide / rms(wide).square() * weight,
    }
    answer = attempt(x, weight)
    diagnose(answer, right, mistakes, atol=4e-3, rtol=4e-3)
    expect(answer.dtype == torch.float16, f"the numbers are right, but their type is {answer.dtype}, not torch.float16")
    zeros = torch.zeros(1, 1, 4).half()
    expect_close(attempt(zeros, weight), zeros.float(), "a place of zeros must stay a place of zeros", atol=1e-4)
    small = torch.full((1, 1, 4), 2e-3).half()
    expected = small.float() / rms(small.float()) * weight
    answer = attempt(small, weight)
    expect_close(answer, expected, "small numbers come out wrong: is ε added under the root?", atol=4e-3, rtol=2e-2)
    return "no stream is too loud for it"


@exercise(
    chapter=CHAPTER,
    without=("autograd",),
    hints=(
        "First the weight: output c is w_c · x_c / r, so what arrives at x_c / r is `weight * gradient`. Call it g.",
        "x_c acts in two ways: directly, which gives g_c / r, and through r, which every channel divides by.",
        "The derivative of 1/r with respect to x_c is -x_c / (C · r³): r² is a mean, so a factor 1/C comes with it.",
        "Together: g / r - x · mean(g · x) / r³, with the mean over the channels of each place.",
    ),
)
def rms_norm_gradient(attempt):
    """Return the gradient of RMSNorm's input, (B, T, C), without autograd."""
    x, weight, gradient = random_tensor(2, 3, 4), random_tensor(4, seed=1), random_tensor(2, 3, 4, seed=2)
    right = gradient_of_input(x, weight, gradient, EPSILON)
    r, g = rms(x), weight * gradient
    through_r = x * (g * x).mean(dim=-1, keepdim=True) / r**3
    mistakes = {
        "this is the direct way alone: x also acts through r, which every channel divides by": g / r,
        "this is the way through r alone: the direct way is missing": -through_r,
        "the weight is missing": gradient / r - x * (gradient * x).mean(dim=-1, keepdim=True) / r**3,
        "the weight is missing in the part that goes through r": g / r
        - x * (gradient * x).mean(dim=-1, keepdim=True) / r**3,
        "the part that goes through r is added: 1/r falls when x grows": g / r + through_r,
        "a factor 1/C is missing: r² is a mean over the channels": g / r - 4 * through_r,
        "the part that goes through r is divided by r², not by r³": g / r - through_r * r,
        "the mean runs over all places: every place has its own r": g / r - x * (g * x).mean() / r**3,
        "g and x are multiplied by r where they should be divided": g * r - through_r,
    }
    diagnose(attempt(x, weight, gradient, EPSILON), right, mistakes)
    large = attempt(x, weight, gradient, 0.5)
    expect_close(large, gradient_of_input(x, weight, gradient, 0.5), "another epsilon comes out wrong: r contains it")
    along = (attempt(x, torch.ones(4), gradient, 0.0) * x).sum(dim=-1)
    expect_close(along, torch.zeros(2, 3), "stretching x changes nothing, so the gradient must be at right angles to x")
    return "autograd finds the same; without ε, it stands at right angles to x"


def gradient_of_input(x: Tensor, weight: Tensor, gradient: Tensor, epsilon: float) -> Tensor:
    """Return what autograd finds for the gradient of RMSNorm's input."""
    leaf = x.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad((leaf / rms(leaf, epsilon) * weight * gradient).sum(), leaf)
    return found


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
    quiet = 1e-3 * random_tensor(1, 2, 6, seed=2)
    heads = quiet.unflatten(-1, (3, 2))
    mistakes = {
        "ε is missing, which counts where numbers are small": (heads / rms(heads, 0.0) * weight).flatten(-2),
        "ε stands outside the root: it is added to the mean square": (
            heads / (rms(heads, 0.0) + EPSILON) * weight
        ).flatten(-2),
        "ε is 1e-6 here: 1e-5 is asked for": (heads / rms(heads, 1e-6) * weight).flatten(-2),
    }
    diagnose(attempt(quiet, weight, 3), by_head(quiet, weight, 3), mistakes)
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


@exercise(
    chapter=CHAPTER,
    hints=(
        "LayerNorm is RMSNorm for vectors without a mean, so write 2C numbers that have none.",
        "The first C of them must be in proportion to the old ones. What can the others be, so that all add up to 0?",
        "The mirror image: for every number also its negative. Then the mean is 0 and the mean square stays as it was.",
    ),
)
def mirrored(attempt):
    """Return a matrix (2C, F) such that LayerNorm of what it writes begins with RMSNorm of what the old one wrote."""
    weight = random_tensor(3, 4) + 0.5
    answer = attempt(weight)
    expect_type(answer, Tensor)
    expect(
        answer.shape != (3, 8),
        "the two halves stand side by side: the new channels are rows, so put them one below the other",
    )
    expect_shape(answer, (6, 4))
    if not behaves(answer, weight):
        zeros = torch.zeros_like(weight)
        turned = torch.stack((weight, -weight), dim=1).flatten(0, 1)
        mistakes = {
            "both halves are the same, so the mean is what it was": torch.cat((weight, weight)),
            "the second half is 0, so the mean is still there, and the mean square is half as large": torch.cat(
                (weight, zeros)
            ),
            "the second half comes first, so the result begins with RMSNorm with the wrong sign": torch.cat(
                (-weight, weight)
            ),
            "every row stands beside its negative, so the first C numbers are not those of RMSNorm": turned,
            "the mean over the channels is gone, but with it a part of the old vector": torch.cat(
                (weight - weight.mean(dim=0), weight.mean(dim=0) - weight)
            ),
            "each half has lost the means of its rows, which has nothing to do with the mean over channels": torch.cat(
                (weight - weight.mean(dim=1, keepdim=True), weight.mean(dim=1, keepdim=True) - weight)
            ),
        }
        diagnose(answer, torch.cat((weight, -weight)), mistakes)
    other = random_tensor(5, 2, seed=3)
    expect(behaves(attempt(other), other), "it is right for one matrix and wrong for another")
    return "so LayerNorm can do what RMSNorm does, at the price of twice the width"


def behaves(wide: Tensor, weight: Tensor) -> bool:
    """Whether LayerNorm of what the wide matrix writes begins with RMSNorm of what the other one writes."""
    hidden = random_tensor(7, weight.size(1), seed=9)  # (places, F)
    layer = F.layer_norm(hidden @ wide.T, (wide.size(0),))[:, : weight.size(0)]
    return torch.allclose(layer, F.rms_norm(hidden @ weight.T, (weight.size(0),), eps=EPSILON), atol=1e-4, rtol=1e-3)
