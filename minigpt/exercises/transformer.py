"""Exercises of the chapter on the transformer: the layers, the block and the whole model."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.config import GPTConfig
from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, random_tensor
from minigpt.model.position import sinusoidal_table

CHAPTER = "05_transformer"


@exercise(
    chapter=CHAPTER,
    without=("layer_norm",),
    hints=(
        "Everything happens inside one vector: which `dim` of (B, T, C) is that, and why do you want `keepdim=True`?",
        "Subtract the mean first. The variance is then the mean of the squares of what is left.",
        "Add `epsilon` to the variance, take the root, divide; multiply by `weight` and add `bias` last.",
    ),
)
def layer_norm(attempt):
    """Normalise every position across its channels, then scale by `weight` and shift by `bias`, as in (5.8)."""
    x, ones, zeros = 3 * random_tensor(2, 3, 4) + 1, torch.ones(4), torch.zeros(4)
    centred = x - x.mean(-1, keepdim=True)
    mistakes = {
        "the variance divides by C - 1: the norm divides by C, which `torch.var` does only with `unbiased=False`": centred
        / x.std(-1, keepdim=True),
        "this divides by the variance: divide by its square root": centred / x.var(-1, unbiased=False, keepdim=True),
        "the mean was not subtracted": x / x.std(-1, unbiased=False, keepdim=True),
        "the mean was subtracted, but nothing divides by the standard deviation": centred,
        "x is divided by its root mean square and never centred": x / x.square().mean(-1, keepdim=True).sqrt(),
        "this averages over the time dimension, so that places see each other: average over the channels": over(x, 1),
        "this averages over the batch, so that texts see each other: average over the channels": over(x, 0),
        "this averages over time and channels at once, so that places see each other": over(x, (1, 2)),
        "this averages over the whole tensor: every position has a mean and a variance of its own": over(x, (0, 1, 2)),
    }
    diagnose(attempt(x, ones, zeros, 0.0), over(x, -1), mistakes)

    variance = centred.square().mean(-1, keepdim=True)
    mistakes = {
        "`epsilon` is not used: a row of equal numbers would give 0 / 0": centred / variance.sqrt(),
        "`epsilon` is added outside the root: it belongs to the variance, under the root": centred
        / (variance.sqrt() + 2),
        "`epsilon` is subtracted from the variance": centred / (variance - 2).sqrt(),
        "`epsilon` is squared on its way into the root": centred / (variance + 4).sqrt(),
    }
    diagnose(attempt(x, ones, zeros, 2.0), centred / (variance + 2).sqrt(), mistakes)

    weight, bias, normal = torch.tensor([1.0, 2.0, 3.0, -1.0]), torch.tensor([0.0, 10.0, 20.0, 30.0]), over(x, -1)
    mistakes = {
        "neither `weight` nor `bias` is used": normal,
        "`weight` is not used": normal + bias,
        "`bias` is not used": weight * normal,
        "the shift comes before the scale, so that `weight` multiplies `bias` too": weight * (normal + bias),
        "`weight` and `bias` have changed places": bias * normal + weight,
    }
    diagnose(attempt(x, weight, bias, 0.0), weight * normal + bias, mistakes)
    return "these are the numbers of minigpt's LayerNorm"


def over(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """Normalise over these dimensions."""
    return (x - x.mean(dims, keepdim=True)) / x.var(dims, unbiased=False, keepdim=True).sqrt()


@exercise(
    chapter=CHAPTER,
    without=("gelu",),
    hints=(
        "Work from the inside out: first the polynomial in x, then the root in front of it, then `torch.tanh`.",
        "`math.sqrt(2 / math.pi)` is the factor inside the tanh, and `x**3` is the cube.",
        "Two checks on paper: a large x should come out as x, and a very negative one as 0.",
    ),
)
def gelu(attempt):
    """Apply GPT-2's form of GELU, equation (5.4) with the tanh, to every number of a tensor."""
    x = torch.tensor([-3.0, -1.2, -0.5, 0.3, 1.7, 2.5])
    root = math.sqrt(2 / math.pi)
    inner = root * (x + 0.044715 * x**3)
    mistakes = {
        "this is the exact GELU (5.3): here the form with the tanh is asked for": F.gelu(x),
        "this is ReLU, which has a corner": F.relu(x),
        "this is the form with the sigmoid, x · sigmoid(1.702 x): write the one with the tanh": x
        * torch.sigmoid(1.702 * x),
        "this is SiLU, x · sigmoid(x): write the form with the tanh": F.silu(x),
        "the factor one half is missing, so large numbers come out doubled": x * (1 + inner.tanh()),
        "the x in front is missing: this is the gate alone, not what it lets through": 0.5 * (1 + inner.tanh()),
        "the 1 inside the bracket is missing": 0.5 * x * inner.tanh(),
        "the x inside is squared: the formula has its cube": 0.5 * x * (1 + (root * (x + 0.044715 * x**2)).tanh()),
        "2/π stands without its root": 0.5 * x * (1 + (2 / math.pi * (x + 0.044715 * x**3)).tanh()),
        "the root has π/2 under it: turn the fraction around": 0.5 * x * (1 + (inner / root**2).tanh()),
        "√(2/π) multiplies only x: it stands before the whole bracket": 0.5
        * x
        * (1 + (root * x + 0.044715 * x**3).tanh()),
        "0.044715 multiplies the whole bracket: it belongs to the cube": 0.5
        * x
        * (1 + (root * 0.044715 * (x + x**3)).tanh()),
        "the cubic term is missing": 0.5 * x * (1 + (root * x).tanh()),
    }
    diagnose(attempt(x), F.gelu(x, approximate="tanh"), mistakes, atol=2e-6, rtol=2e-6)
    grid = random_tensor(2, 3, 4)
    expect_close(attempt(grid), F.gelu(grid, approximate="tanh"), "a tensor with three dimensions comes out wrong")
    return "this is GPT-2's GELU, to the last digit"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three steps: the speeds ω (one for each pair), the angles ω·t (a table), then sine and cosine of the table.",
        "`torch.arange(0, width, 2)` gives 0, 2, 4, …, which is exactly the 2i of the formula.",
        "Places as a column (T, 1) times speeds as a row (C/2) broadcast to all the angles, (T, C/2).",
        "Fill an empty table by slices: `table[:, 0::2]` are the even channels, `table[:, 1::2]` the odd ones.",
    ),
)
def sinusoidal_positions(attempt):
    """Return the table (5.1), of shape (block_size, width): sines in even channels, cosines in odd ones."""
    table = sinusoidal_table(5, 6)
    sines, cosines = table[:, 0::2], table[:, 1::2]
    later = sinusoidal_table(6, 6)[1:]
    place, channel = torch.arange(5.0).unsqueeze(1), torch.arange(6.0)
    mistakes = {
        "all sines stand before all cosines: here they alternate": torch.cat((sines, cosines), dim=-1),
        "sine and cosine have changed places: channel 0 is a sine": torch.stack((cosines, sines), dim=-1).flatten(1),
        "all channels are sines": sines.repeat_interleave(2, dim=-1),
        "the places are counted from 1: the first row belongs to place 0": later,
        "the two channels of a pair turn at different speeds: they share one ω": alternate(
            place * 10_000 ** (-channel / 6)
        ),
        "the exponent lacks its 2: ω is 10000 to the power of -2i/C": alternate(
            (place * 10_000 ** (-channel[:3] / 6)).repeat_interleave(2, dim=-1)
        ),
        "the exponent has a 2 too many: in `arange(0, width, 2)` the numbers are 2i already": alternate(
            (place * 10_000 ** (-2 * channel[::2] / 6)).repeat_interleave(2, dim=-1)
        ),
        "the exponent has the wrong sign, so the speeds grow: they should fall from 1": alternate(
            (place * 10_000 ** (channel[::2] / 6)).repeat_interleave(2, dim=-1)
        ),
        "the table lies on its side: rows are places, columns are channels": table.T,
    }
    diagnose(attempt(5, 6), table, mistakes, atol=1e-4)
    expect_close(
        attempt(40, 16), sinusoidal_table(40, 16), "a table of 40 places and 16 channels comes out wrong", atol=1e-3
    )
    return "the dot product of two rows depends on their distance alone"


def alternate(angles: Tensor) -> Tensor:
    """Take the sine of even channels and the cosine of odd ones."""
    return torch.where(torch.arange(angles.size(1)) % 2 == 0, angles.sin(), angles.cos())


@exercise(
    chapter=CHAPTER,
    hints=(
        "Draw the left side of the picture: the stream goes straight down, and two layers each read it and add to it.",
        "A layer reads the *normalised* stream, but what it says is added to the stream as it was.",
        "The second half works on the result of the first, not on the x that came in.",
    ),
)
def pre_norm_block(attempt):
    """Apply attention and then the MLP, each to the normalised stream, and add what they say to the stream."""
    x = random_tensor(2, 3, 4)
    parts = (
        lambda x: (x - 1) / 2,  # attention_norm
        lambda x: x.cumsum(dim=1) + 0.1,  # attention
        lambda x: 3 * x + 2,  # mlp_norm
        lambda x: x.square() / 10,  # mlp
    )
    norm_1, attend, norm_2, think = parts
    middle = x + attend(norm_1(x))
    mistakes = {
        "this is post-norm: each norm stands after the sum, where it squeezes the stream": norm_2(
            norm_1(x + attend(x)) + think(norm_1(x + attend(x)))
        ),
        "nothing is added to the stream: both layers replace it": think(norm_2(attend(norm_1(x)))),
        "attention replaces the stream, where it should be added to it": attend(norm_1(x))
        + think(norm_2(attend(norm_1(x)))),
        "the MLP replaces the stream, where it should be added to it": think(norm_2(middle)),
        "the MLP reads the stream as it was before attention": middle + think(norm_2(x)),
        "the MLP's result is added to the x that came in, so what attention wrote is lost": x + think(norm_2(middle)),
        "the normalised vectors are added: only the layers read them, the stream stays as it is": (
            norm_2(norm_1(x) + attend(norm_1(x))) + think(norm_2(norm_1(x) + attend(norm_1(x))))
        ),
        "both halves use `attention_norm`: the second has a norm of its own": middle + think(norm_1(middle)),
        "the MLP comes before attention": x + think(norm_2(x)) + attend(norm_1(x + think(norm_2(x)))),
        "no norm is used": x + attend(x) + think(x + attend(x)),
        "attention reads the stream without its norm": x + attend(x) + think(norm_2(x + attend(x))),
        "the MLP reads the stream without its norm": middle + think(middle),
        "the MLP is missing": middle,
        "attention is missing": x + think(norm_2(x)),
    }
    diagnose(attempt(x, *parts), middle + think(norm_2(middle)), mistakes)
    return "Block.forward says the same in two lines"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Start from (5.13), which has all biases, and compare your parts with the rows of the parameter table.",
        "Without biases a linear layer has only its matrix, and a norm only its weight. How many of each are in a block?",
        "The head: its matrix is counted unless it is the token table, and its bias only where `lm_head_bias` says so.",
        "`config.bias` is True or False, and Python multiplies with it: `config.bias * 3 * C` is 3C or 0.",
    ),
)
def count_gpt(attempt):
    """Return the number of parameters of a GPT with learned positions, an integer, from its configuration alone."""
    # All sizes differ here, so that every mistake gives another number.
    config = GPTConfig(vocab_size=11, block_size=13, n_layer=3, n_head=2, n_embd=4, mlp_dim=10, lm_head_bias=True)
    right, (v, t, layers, c, f) = count(config), (11, 13, 3, 4, 10)
    biases = layers * (3 * c + c + f + c + 2 * c) + c
    mistakes = {
        "all biases are missing": right - biases - v,
        "the biases of the blocks' linear layers are missing": right - layers * (3 * c + c + f + c),
        "the biases of the norms are missing": right - layers * 2 * c - c,
        "the bias of the head is missing": right - v,
        "the norms are missing": right - layers * 4 * c - 2 * c,
        "only one norm is counted in a block: there are two": right - layers * 2 * c,
        "the last norm, before the head, is missing": right - 2 * c,
        "the table of positions is missing": right - t * c,
        "a table of V × C is missing: the tokens have one, and an untied head has another": right - v * c,
        "the head is missing": right - v * c - v,
        "the way out of attention is missing: after queries, keys and values there is a fourth matrix": right
        - layers * (c * c + c),
        "queries, keys and values have a matrix each: C² for one of them is not enough": right
        - layers * (2 * c * c + 2 * c),
        "only one of the MLP's two layers is counted": right - layers * (f * c + c),
        "the MLP is taken to be 4C wide: its width is `config.hidden_dim`": right + layers * (2 * c + 1) * (4 * c - f),
        "the block is counted once: there are `n_layer` of them": right - (layers - 1) * block_count(c, f),
        "attention is counted once for every head: heads share out the width, they do not add to it": right
        + layers * (4 * c * c + 4 * c),
    }
    diagnose(attempt(config), right, mistakes)
    expect_close(
        attempt(config.replace(n_head=4)),
        right,
        "the number of heads changes the answer, but it should not",
        atol=0,
        rtol=0,
    )
    plain = config.replace(bias=False)
    mistakes = {
        "with `bias=False` the linear layers and the norms have no biases": right,
        "with `bias=False` the norms have no biases either": count(plain) + layers * 2 * c + c,
        "with `bias=False` the linear layers have no biases either": count(plain) + layers * (5 * c + f),
        "the head's bias hangs on `lm_head_bias`, not on `bias`": count(plain) - v,
    }
    diagnose(attempt(plain), count(plain), mistakes)
    diagnose(
        attempt(config.replace(lm_head_bias=False)),
        right - v,
        {"with `lm_head_bias=False` the head has no bias": right},
    )
    gpt2 = GPTConfig(vocab_size=50_257, block_size=1024, n_layer=12, n_head=12, n_embd=768, tie_weights=True)
    mistakes = {"GPT-2's head shares the token table, which is counted once": count(gpt2) + 50_257 * 768}
    diagnose(attempt(gpt2), count(gpt2), mistakes, atol=0.5, rtol=0)
    expect(isinstance(attempt(gpt2), int), "the number is right, but it should be an integer")
    return f"GPT-2 has {count(gpt2):,} parameters, and you counted every one"


def block_count(c: int, f: int) -> int:
    """The parameters of a block with all its biases."""
    return 4 * c * c + 4 * c + 2 * c * f + f + c + 4 * c


def count(config: GPTConfig) -> int:
    """The parameters of a GPT with learned positions."""
    v, c, f = config.vocab_size, config.n_embd, config.hidden_dim
    biases = config.n_layer * (5 * c + f + 2 * c) + c
    with_biases = v * c + config.block_size * c + config.n_layer * block_count(c, f) + 2 * c
    head = v * config.lm_head_bias + (0 if config.tie_weights else v * c)
    return with_biases - (0 if config.bias else biases) + head
