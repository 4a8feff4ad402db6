"""Exercises of the chapter on SwiGLU: matching sizes, the backward pass of a gate, products, and silent channels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.exercises.engine import diagnose, exercise, expect, expect_shape, expect_type, random_tensor

CHAPTER = "22_swiglu"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write down both counts. Without biases they are 2·C·F and 3·C·F'.",
        "A bias has as many numbers as its matrix has outputs: F and C for the plain MLP, F', F' and C for the gated one.",
        "The bias of `down` is on both sides and drops out. What is left is divided by what one more hidden channel costs.",
        "Round down with `//`: one channel more would cost too much.",
    ),
)
def matching_hidden(attempt):
    """Return the largest hidden width of a gated MLP with no more parameters than a plain one, an integer."""
    mistakes = {
        "this is 2/3 of the hidden width, rounded to the nearest: one channel more would cost too much": 67,
        "this is unrounded: a hidden width is a whole number": 200 / 3,
        "a gated MLP has three matrices, so it has to be narrower": 100,
        "this is half of the hidden width, but three matrices cost half as much again as two, not twice as much": 50,
        "the plain MLP has two matrices, not one": 33,
        "this is 8/3 of the width, which only fits a hidden width of four times the width": 8 * 10 // 3,
    }
    diagnose(attempt(10, 100, False), 66, mistakes, atol=0, rtol=0)
    mistakes = {
        "the biases are forgotten: with three hidden biases for two, they tip the balance here": 4,
    }
    diagnose(attempt(1, 6, True), 3, mistakes, atol=0, rtol=0)
    for width, hidden, bias in ((288, 1152, False), (3, 50, True), (64, 256, True), (2, 7, True)):
        found = attempt(width, hidden, bias)
        expect_type(found, int)
        price = plain_price(width, hidden, bias)
        case = f"for width {width}, hidden {hidden} and bias {bias}"
        expect(gated_price(width, found, bias) <= price, f"{case} the gated MLP costs more than the plain one")
        expect(gated_price(width, found + 1, bias) > price, f"{case} the hidden layer could be wider at the same price")
    return "for four times the width, without biases, it gives the 8/3 of the configuration"


def plain_price(width: int, hidden: int, bias: bool) -> int:
    """Return how many parameters a plain MLP has."""
    return 2 * width * hidden + bias * (hidden + width)


def gated_price(width: int, hidden: int, bias: bool) -> int:
    """Return how many parameters a gated MLP has."""
    return 3 * width * hidden + bias * (2 * hidden + width)


@exercise(
    chapter=CHAPTER,
    without=("autograd",),
    hints=(
        "A product has two factors, and the gradient of each is the other one times what comes back.",
        "For `up` that is all: `gradient * F.silu(gate)`. For `gate`, multiply by the slope of SiLU as well.",
        "SiLU is a · σ(a), a product too: its slope is σ(a) + a · σ'(a), and σ'(a) = σ(a) · (1 - σ(a)).",
    ),
)
def gate_gradients(attempt):
    """Return the gradients of gate and of up in silu(gate) · up, two tensors (B, T, F), without autograd."""
    gate, up, gradient = random_tensor(2, 3, 4), random_tensor(2, 3, 4, seed=1), random_tensor(2, 3, 4, seed=2)
    leaves = gate.clone().requires_grad_(), up.clone().requires_grad_()
    right = torch.autograd.grad((F.silu(leaves[0]) * leaves[1] * gradient).sum(), leaves)
    open_ = torch.sigmoid(gate)
    bell = open_ * (1 - open_)
    of_up = gradient * F.silu(gate)
    mistakes = {
        "the two gradients have changed places: gate comes first": (right[1], right[0]),
        "the slope of SiLU is missing in the gradient of gate": (gradient * up, of_up),
        "the slope of SiLU is more than the sigmoid: a · σ(a) is a product, and σ has a slope too": (
            gradient * up * open_,
            of_up,
        ),
        "this is the slope of the sigmoid, but the gate is SiLU": (gradient * up * bell, of_up),
        "in the slope of SiLU a factor a is missing before the slope of the sigmoid": (
            gradient * up * (open_ + bell),
            of_up,
        ),
        "the gradient of up is multiplied by the gate itself: it passes the bend first": (right[0], gradient * gate),
        "the gradient of up is multiplied by the sigmoid: the door of SwiGLU is SiLU": (right[0], gradient * open_),
        "what comes back, `gradient`, is missing": (up * (open_ + gate * bell), F.silu(gate)),
    }
    answer = attempt(gate, up, gradient)
    expect(not isinstance(answer, Tensor), "two tensors are asked for: the gradient of gate, and that of up")
    diagnose(answer, right, mistakes)
    return "autograd finds the same"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Two channels make a full square: ReLU²(a) + ReLU²(-a) = a², whatever the sign of a.",
        "From school: (x + y)² - (x - y)² is a multiple of x · y. Which one?",
        "So the four channels ask for x + y, -x - y, x - y and -x + y, and `down` adds two of them and subtracts the others.",
    ),
)
def product_by_squares(attempt):
    """Return up (4, 2) and down (1, 4) such that down · ReLU²(up · x) is the product of the two numbers in x."""
    answer = attempt()
    expect(isinstance(answer, tuple | list) and len(answer) == 2, "two tensors are asked for: up, and down")
    up, down = answer
    expect_type(up, Tensor)
    expect_type(down, Tensor)
    expect(
        (tuple(up.shape), tuple(down.shape)) != ((2, 4), (4, 1)),
        "both lie on their sides: `up @ x` needs a row for each hidden channel",
    )
    expect_shape(up, (4, 2))
    expect_shape(down, (1, 4))
    pairs = torch.tensor([[3.0, 2.0], [3.0, -2.0], [-3.0, 2.0], [-3.0, -2.0], [1.0, 4.0], [0.0, 5.0]])
    found = (F.relu(pairs @ up.float().T).square() @ down.float().T).squeeze(-1)
    x, y = pairs.T
    half = torch.where(x + y > 0, (x + y).square(), 0.0) - torch.where(x - y > 0, (x - y).square(), 0.0)
    mistakes = {
        "this is four times the product: (x + y)² - (x - y)² = 4xy": 4 * x * y,
        "this is twice the product": 2 * x * y,
        "this is the product with the wrong sign: which of the two squares is subtracted?": -x * y,
        "the squares are added where one should be subtracted: this gives half of x² + y²": (x**2 + y**2) / 2,
        "the squares are added where one should be subtracted: this gives x² + y²": x**2 + y**2,
        "the squares are added where one should be subtracted, and nothing is divided": 2 * (x**2 + y**2),
        "it holds only where x + y and x - y are positive: each square needs a channel for either sign": half / 4,
        "it holds only for some signs, and lacks a quarter: each square needs a channel for either sign": half,
        "this is (x + y)², half of the way": (x + y).square(),
    }
    diagnose(found, x * y, mistakes)
    return "four channels, and not one approximation"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Compare with 0 first: `hidden == 0` says it for each number.",
        "A channel is silent if that is true at all places of all texts: `.all(dim=…)` over the first two dimensions.",
        "`.nonzero()` gives the positions where a tensor is true; `.flatten().tolist()` makes a list of them.",
    ),
)
def silent_channels(attempt):
    """Return the numbers of the channels of hidden, (B, T, F), that are 0 at every place, a list of integers."""
    hidden = random_tensor(2, 3, 6).abs() + 0.1
    hidden[..., 1] = 0.0
    hidden[..., 4] = 0.0
    hidden[0, :, 2] = 0.0  # silent in one text only
    hidden[:, 0, 5] = 0.0  # at the first place only
    hidden[:, -1, 0] = 0.0  # and at the last one only
    hidden[0, 0, 3] = -1e-3
    answer = attempt(hidden)
    if isinstance(answer, Tensor):
        expect(
            answer.dtype != torch.bool, "this says for each channel whether it is silent: return the channels' numbers"
        )
        answer = answer.tolist()
    mistakes = {
        "these channels are 0 at some place, which is no reason to worry: a silent one is 0 at all of them": [
            0,
            1,
            2,
            4,
            5,
        ],
        "these channels are the ones that do speak": [0, 2, 3, 5],
        "channel 2 is 0 in the first text only: look at all texts of the batch": [1, 2, 4],
        "channel 5 is 0 at the first place only: look at all places": [1, 4, 5],
        "channel 0 is 0 at the last place only: look at all places": [0, 1, 4],
        "the numbers are one too high: count from 0": [2, 5],
        "this is how many there are: their numbers are asked for": 2,
    }
    diagnose(answer, [1, 4], mistakes)
    balanced = torch.zeros(1, 2, 3)
    balanced[0, :, 0] = torch.tensor([1.0, -1.0])
    tiny = torch.zeros(1, 2, 2)
    tiny[0, 1, 1] = 1e-20
    expect(as_list(attempt(balanced)) == [1, 2], "numbers that add up to 0 are not all 0")
    expect(as_list(attempt(tiny)) == [0], "a number may be tiny without being 0, and then it has a gradient")
    expect(as_list(attempt(torch.ones(1, 1, 2))) == [], "where all channels speak, the list is empty")
    return "with ReLU and its square, these channels will never come back"


def as_list(answer: object) -> object:
    """Return a tensor or a tuple as a list, and anything else as it is."""
    if isinstance(answer, Tensor):
        return answer.tolist()
    return list(answer) if isinstance(answer, tuple) else answer
