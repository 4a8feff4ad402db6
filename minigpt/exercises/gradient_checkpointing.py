"""Exercises of the chapter on gradient checkpointing: what to forget, and how to get it back."""

import math

import torch
from torch import nn

from minigpt.exercises.engine import (
    Mistake,
    diagnose,
    exercise,
    expect,
    expect_close,
    expect_equal,
    expect_type,
    random_tensor,
)

CHAPTER = "24_gradient_checkpointing"


@exercise(
    chapter=CHAPTER,
    hints=(
        "How many pieces are there? The last one may be shorter, so round up.",
        "Every piece keeps one input, which counts as 1.",
        "Only one piece is run again at a time; the longest has `segment` blocks, but never more than there are.",
    ),
)
def worst_moment(attempt):
    """Return what a chain of blocks holds at the worst moment of its backward pass, cut into pieces."""
    mistakes = {
        "the inputs of the pieces are missing: each piece keeps its own": 48,
        "the insides of the piece that is run again are missing": 4,
        "the insides of every piece are counted: only one piece is run again at a time": 4 + 12 * 16,
        "every block's input is counted: only pieces keep one": 12 + 48,
        "the piece's insides are counted for one block only: it has `segment` blocks": 4 + 16,
        "inputs and insides are multiplied: they are held side by side": 4 * 48,
    }
    diagnose(attempt(12, 3, 16), 4 + 3 * 16, mistakes, atol=0, rtol=0)
    diagnose(
        attempt(10, 4, 5),
        3 + 20,
        {"there is a third piece, if a short one: round up": 22, "pieces are whole: round up": 22.5},
        atol=0,
        rtol=0,
    )
    expect_equal(attempt(6, 1, 16), 6 + 16, "with one block a piece, there are as many inputs as blocks")
    expect_equal(attempt(3, 8, 16), 1 + 3 * 16, "a piece has no more blocks than there are")
    best = min(range(1, 65), key=lambda segment: math.ceil(64 / segment) + segment)
    expect_equal(attempt(64, best, 1), 16, "for a chain of 64 steps that keep one number each, 8 pieces hold 16")
    return "for twelve blocks of a transformer nothing beats a checkpoint for each block"


class Watched(nn.Module):
    """A layer with a parameter, which notes whether autograd watches it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(random_tensor(3, 3, seed=5))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return (x @ self.weight).tanh()


@exercise(
    chapter=CHAPTER,
    hints=(
        "The function has to run once more, with autograd watching: `with torch.enable_grad():`.",
        "Give it a fresh start: `x.detach().requires_grad_()` is the same numbers without a past.",
        "Then `torch.autograd.backward(y, dy)` sends `dy` back through the second run. Parameters add up what they get.",
        "What you return is the `.grad` of the fresh start.",
    ),
)
def gradient_again(attempt):
    """Return the gradient of an input whose function was run without history, by running it again."""
    x, dy = random_tensor(2, 3), random_tensor(2, 3, seed=1)

    def right(layer):
        fresh = x.clone().requires_grad_()
        layer(fresh).backward(dy)
        return fresh.grad, layer.weight.grad

    reference = Watched()
    expected, expected_weight = right(reference)
    with torch.no_grad():
        y = reference(x)
    fresh = x.clone().requires_grad_()
    ignored = torch.autograd.grad(reference(fresh).sum(), fresh)[0]
    mistakes = {
        "`dy` is left out: this is the gradient of the sum of the result": ignored,
        "this is `dy` itself: it has to go back through the function": dy,
        "this is the result of the second run, not a gradient": y,
        "`dy` is multiplied with the gradient: it has to go through the function": dy * ignored,
    }
    layer = Watched()
    with torch.no_grad():
        found = attempt(layer, x, dy)
    diagnose(found, expected, mistakes)
    expect(layer.weight.grad is not None, "the gradient of x is right, but the function's parameters got none")
    expect_close(layer.weight.grad, expected_weight, "the gradient of x is right, but not that of the parameters")
    expect(layer.calls == 1, f"the function ran {layer.calls} times: once is enough")
    attempt(layer, x, dy)
    expect_close(layer.weight.grad, 2 * expected_weight, "a second call must add to the parameters' gradients")
    leaf = x.clone().requires_grad_()
    past = leaf * 2
    try:
        found = attempt(layer, past, dy)
    except Mistake:
        expect(leaf.grad is None, "`x` itself was made a leaf of autograd's, or was taken for one: use `x.detach()`")
        raise
    expect(leaf.grad is None, "the gradient ran on into the past of x: start afresh, with `detach`")
    fresh = (2 * x).requires_grad_()
    expect_close(found, torch.autograd.grad(layer(fresh), fresh, dy)[0], "when x has a history the result is wrong")
    leaf.grad = torch.ones(2, 3)
    found = attempt(layer, leaf, dy)
    if not torch.equal(leaf.grad, torch.ones(2, 3)):
        raise Mistake("the gradient was added to x itself: work on a fresh start, and leave x as it is")
    expect_close(found, expected, "when x has a gradient already, the result is wrong")
    return "this is the backward pass of a checkpoint"


def noisy(x):
    """A function that draws random numbers, like a layer with dropout."""
    return x + torch.rand(x.shape)


@exercise(
    chapter=CHAPTER,
    hints=(
        "`torch.get_rng_state()` tells how the dice lie, `torch.set_rng_state(state)` lays them so again.",
        "Keep the state before the first run, and set it before the second.",
        "After the second run the dice lie as after the first, if both drew equally often. What if the function failed to?",
        "Setting a seed is no good: it would give these two runs the same numbers, and everybody after them too.",
    ),
)
def run_twice(attempt):
    """Return the results of two runs of a function that draws the same random numbers in both."""
    x = torch.zeros(4)
    torch.manual_seed(3)
    torch.rand(5)
    expected, following = noisy(x), torch.rand(3)
    torch.manual_seed(3)
    torch.rand(5)
    found = attempt(noisy, x)
    expect_type(found, (tuple, list), "return both results, as a pair")
    expect(len(found) == 2, f"return both results, not {len(found)}")
    after = torch.rand(3)
    first, second = found
    expect(torch.equal(first, second), "the two runs drew different random numbers")
    sentence = "the first run did not draw the numbers that it would have drawn anyway: set no seed of your own"
    expect(torch.equal(first, expected), sentence)
    expect(torch.equal(after, following), "afterwards, other random numbers come than after a single call")
    calls = []

    def forgetful(x):
        """Draw more the first time than the second."""
        calls.append(len(calls))
        return x + torch.rand(8 if len(calls) == 1 else 4)[:4]

    torch.manual_seed(4)
    torch.rand(8)
    following = torch.rand(3)
    torch.manual_seed(4)
    attempt(forgetful, x)
    expect(len(calls) == 2, f"the function is to run twice, not {len(calls)} times")
    expect(
        torch.equal(torch.rand(3), following),
        "if the second run draws fewer numbers, what comes afterwards changes: put the state after the first run back",
    )
    return "whoever draws next will not notice that anything was run twice"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write down the forward pass of one block as a sum of attention and MLP.",
        "A step without checkpoints costs three times that: once forward, twice as much backward.",
        "What is run again costs its forward pass once more. Divide by the step.",
    ),
)
def extra_time(attempt):
    """Return how much longer a step becomes, as a share, when parts of every block are run again."""
    C, F, T = 8, 24, 16
    attention, mlp = 4 * C * C + 2 * T * C, 2 * C * F
    step = 3 * (attention + mlp)
    mistakes = {
        "a step has a backward pass, which costs twice the forward pass": mlp / (attention + mlp),
        "the backward pass counts double: a step is three forward passes, not two": mlp / (2 * (attention + mlp)),
        "this is the whole step's length: give only what is added": 1 + mlp / step,
        "the scores are missing from attention: 2TC": mlp / (3 * (4 * C * C + mlp)),
        "the MLP has two matrices, one up and one down": C * F / (3 * (attention + C * F)),
        "this is the price of running attention again": attention / step,
        "this is the price of the whole block": 1 / 3,
        "what is run again is divided by the step with it, not by the step without": mlp / (step + mlp),
    }
    diagnose(attempt(C, F, T, {"mlp"}), mlp / step, mistakes, atol=1e-6, rtol=1e-4)
    expect_close(attempt(C, F, T, {"attention"}), attention / step, "the price of attention is wrong: 4C² and 2TC")
    expect_close(attempt(C, F, T, {"attention", "mlp"}), 1 / 3, "everything again is one forward pass in three")
    expect_close(attempt(C, F, T, set()), 0.0, "if nothing is run again, nothing is added")
    expect_close(attempt(8, 32, 64, {"attention"}), 1280 / 5376, "longer texts make attention dearer")
    return "never more than a third"


@exercise(
    chapter=CHAPTER,
    hints=(
        "At the end of the forward pass, k blocks hold `part` and the others `whole`.",
        "When the backward pass reaches the first k, the others are done. Then k blocks hold `part`, and one of them `whole` besides.",
        "Try k = 0, 1, 2 and so on, and return the first that fits. With k = 0 there is no second moment.",
    ),
)
def fewest_checkpoints(attempt):
    """Return the smallest number of blocks to run again so that a limit of memory is kept."""
    mistakes = {
        "this is one too few: the limit is exceeded": 8,
        "this is one too many: a smaller number would do": 10,
        "the limit is exceeded, since a block that is run again still holds `part`": 7,
        "this is the number of blocks that keep everything: asked is for the others": 5,
    }
    answer = attempt(14, 16, 4, 120)  # 9·4 + 5·16 = 116, 8·4 + 6·16 = 128
    diagnose(answer, 9, mistakes, atol=0, rtol=0)
    expect_type(answer, int, "the number is right, but it should be an integer")
    expect_equal(attempt(12, 16, 1, 200), 0, "if everything fits, nothing needs to be run again")
    expect_equal(attempt(12, 16, 1, 191), 1, "the first checkpoint is enough here")
    expect_equal(attempt(4, 16, 8, 57), 1, "a checkpoint frees `whole` − `part`, since its input stays")
    expect_equal(attempt(12, 16, 1, 27), 11, "a limit that is met exactly is kept")
    expect_equal(attempt(3, 10, 1, 12), 2, "with 2 of 3 blocks the two moments hold 12 each, which fits")
    return "and never all of them: the last block's turn comes at once, so to forget it frees nothing"
