"""Exercises of the chapter on counting: parameters, activations, operations, and scaling laws."""

import math
from collections.abc import Callable

import torch

from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, expect_equal, expect_type

CHAPTER = "10_counting"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write down the count as a function of the width first: blocks, and both tables.",
        "Blocks have 12·C² parameters each, the token embedding and the head have V·C each.",
        "Try 16, 32, 48 and so on, and stop before the count exceeds the budget. No algebra is needed.",
    ),
)
def widest_model(attempt):
    """Return the largest width, a multiple of 16, for which a GPT stays within a budget of parameters."""
    width = attempt(5_000_000, 6, 5000)
    mistakes = {
        "the token embedding and the head are left out: each of them has V·C parameters": 256,
        "only one of the two tables is counted: the token embedding and the untied head have V·C each": 224,
        "the width is not a multiple of 16": 203,
        "this width exceeds the budget: round down, not up": 208,
        "the blocks are too small: attention has 4·C², the MLP has 8·C²": 288,
        "this counts one block only: there are `n_layer` of them": 336,
    }
    diagnose(width, 192, mistakes)
    expect_type(width, int, "a whole number is asked for: the width itself, as an int")
    exactly = 12 * 2 * 64**2 + 2 * 100 * 64
    expect_equal(attempt(exactly, 2, 100), 64, "a model that meets the budget exactly stays within it")
    expect_equal(attempt(10, 2, 100), 0, "if not even a width of 16 fits, the answer is 0")
    return "and most of what the tables took was not there for the blocks"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Count for one token and one block first, then multiply.",
        "A block keeps 8·C + 2·F numbers for each token; the last norm keeps 2·C more, once.",
        "Naive attention also keeps its weights: for each head, a row of T numbers for each token, in every block.",
    ),
)
def activation_numbers(attempt):
    """Return how many numbers a forward pass with naive attention keeps for the backward pass."""
    B, T, C, F, L, H = 3, 5, 8, 24, 2, 4
    tokens = B * T
    block, weights = 8 * C + 2 * F, B * H * T * T
    correct = L * (tokens * block + weights) + tokens * 2 * C
    mistakes = {
        "the attention weights are missing: naive attention keeps a matrix of T by T for every head": correct
        - L * weights,
        "every head has attention weights of its own": correct - L * weights + L * B * T * T,
        "every sequence of the batch has attention weights of its own": correct - L * weights + L * H * T * T,
        "the attention weights are kept in every block, not once": correct - (L - 1) * weights,
        "the last norm is missing: it keeps its input and its output": correct - tokens * 2 * C,
        "q, k and v are three tensors of width C, not one": correct - L * tokens * 2 * C,
        "the MLP keeps its hidden layer twice: before GELU and after it": correct - L * tokens * F,
        "this is for one token: multiply by B and T": L * (block + H * T) + 2 * C,
        "this is for one block only: there are `n_layer` of them": tokens * block + weights + tokens * 2 * C,
        "these are bytes: numbers are asked for": 4 * correct,
    }
    diagnose(attempt(B, T, C, F, L, H), correct, mistakes)
    one = attempt(1, 1, 2, 3, 1, 1)
    diagnose(one, 8 * 2 + 2 * 3 + 1 + 2 * 2, {})
    return "multiply by 4 bytes, and you know what the backward pass asks of the memory"


@exercise(
    chapter=CHAPTER,
    hints=(
        "A matrix product costs 2 operations for each number of the matrix and each token.",
        "The matrices are 12·C² in each block, and V·C in the head. The token embedding is looked up, not multiplied.",
        "Attention adds 4·T·C for each token and block: the scores, and the weighted sum of the values.",
        "The backward pass costs twice as much as the forward pass, so that training costs three times as much.",
    ),
)
def training_operations(attempt):
    """Return the floating-point operations of training a GPT on a number of tokens, in matrix products."""
    tokens, n_layer, width, vocab_size, time = 1000, 3, 16, 70, 40
    matrices = 12 * n_layer * width**2 + vocab_size * width
    attention = 4 * time * width * n_layer
    correct = tokens * 3 * (2 * matrices + attention)
    mistakes = {
        "this is the forward pass only: the backward pass costs twice as much again": correct // 3,
        "the backward pass costs two forward passes, not one: training is three times forward": correct * 2 // 3,
        "attention is missing: its scores and its weighted sum have no parameters, but they cost operations": tokens
        * 6
        * matrices,
        "the head is missing: every token is multiplied by it": correct - tokens * 6 * vocab_size * width,
        "the token embedding is looked up, not multiplied: it costs no operations": correct
        + tokens * 6 * vocab_size * width,
        "a parameter costs two operations per token: a multiplication and an addition": tokens
        * 3
        * (matrices + attention),
        "attention happens in every block": correct - tokens * 3 * attention * (n_layer - 1) // n_layer,
        "attention multiplies twice: q with k, and the weights with v": correct - tokens * 3 * attention // 2,
        "this is for a single token": correct // tokens,
    }
    diagnose(attempt(tokens, n_layer, width, vocab_size, time), correct, mistakes)
    twice = attempt(2 * tokens, n_layer, width, vocab_size, time)
    expect(abs(twice - 2 * correct) <= 1e-6 * correct, "twice the tokens should cost twice the operations")
    return "divide by the speed of a machine, and you have the time"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Take the logarithm of both sides: what kind of curve is ln L as a function of ln N?",
        "A straight line with slope −alpha and height ln a at ln N = 0. Fit it by least squares.",
        "The slope is Σ(x − x̄)(y − ȳ) / Σ(x − x̄)², with x = ln N and y = ln L; the line goes through (x̄, ȳ).",
    ),
)
def fit_power_law(attempt):
    """Return a and alpha of the power law a / N**alpha that fits the losses best, by least squares of logarithms."""
    sizes = [100.0, 1000.0, 10_000.0, 80_000.0]
    noise = [0.03, -0.02, 0.01, -0.01]
    losses = [6.0 * size**-0.12 * math.exp(bump) for size, bump in zip(sizes, noise, strict=True)]
    answer = attempt(sizes, losses)
    expect_type(answer, (tuple, list), "two numbers are asked for: return a, alpha")
    expect(len(answer) == 2, f"two numbers are asked for (a, alpha), but {len(answer)} came back")
    x, y = [math.log(size) for size in sizes], [math.log(loss) for loss in losses]
    height, slope = _line(x, y)
    plain = _line(sizes, losses)
    half = _line(x, losses)
    mistakes = {
        "alpha has the wrong sign: the law divides by N**alpha, so a falling line has a positive alpha": [
            math.exp(height),
            slope,
        ],
        "this is ln a: take the exponential to get a": [height, -slope],
        "this takes logarithms to base 10 but undoes them with exp": [math.exp(height / math.log(10)), -slope],
        "this fits a straight line to the numbers themselves: take logarithms first": [plain[0], -plain[1]],
        "the losses need a logarithm too, not only the sizes": [half[0], -half[1]],
        "the two numbers are swapped: a first, then alpha": [-slope, math.exp(height)],
        "the line goes through the first and the last point only: use all of them": _through_the_ends(x, y),
        "the line is forced through the origin, so there is no a": [
            1.0,
            -sum(a * b for a, b in zip(x, y, strict=True)) / sum(a * a for a in x),
        ],
    }
    diagnose(
        _numbers(answer),
        _numbers([math.exp(height), -slope]),
        {sentence: _numbers(wrong) for sentence, wrong in mistakes.items()},
    )
    exact = attempt([1.0, 10.0, 1000.0], [3.0, 3.0 * 10**-0.5, 3.0 * 1000**-0.5])
    expect_close(_numbers(exact), _numbers([3.0, 0.5]), "losses that follow a power law exactly should give it back")
    return "on paper with logarithmic axes, this is laying a ruler on the points"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Put D = operations / (6·N) into the loss, so that only N is left. Where is its slope zero?",
        "At the best point, `alpha·A / N**alpha` equals `beta·B / D**beta`: neither can be lowered by shifting.",
        "`N = G·(operations / 6)**(beta / (alpha + beta))`, where `G = (alpha·A / (beta·B))**(1 / (alpha + beta))`.",
    ),
)
def optimal_split(attempt):
    """Return the N and D with the lowest loss A / N**alpha + B / D**beta among those that cost 6·N·D operations."""
    operations, A, B, alpha, beta = 6e12, 400.0, 900.0, 0.3, 0.4
    answer = attempt(operations, A, B, alpha, beta)
    expect_type(answer, (tuple, list), "two numbers are asked for: return N, D")
    expect(len(answer) == 2, f"two numbers are asked for (N, D), but {len(answer)} came back")
    N = _best_size(operations / 6, A, B, alpha, beta)
    D = operations / 6 / N
    ratio = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    other = ratio * (operations / 6) ** (alpha / (alpha + beta))
    without = (operations / 6) ** (beta / (alpha + beta))
    equal = (A / B) ** (1 / (alpha + beta)) * without
    root = math.sqrt(operations / 6)
    careless = _best_size(operations, A, B, alpha, beta)
    mistakes = {
        "the two are swapped: N first, then D": [D, N],
        "these are logarithms: N and D themselves are asked for": [math.log(N), math.log(D)],
        "the exponents are the wrong way round: N grows with the power beta / (alpha + beta)": [
            other,
            operations / 6 / other,
        ],
        "the factor G is missing: A, B, alpha and beta shift the balance": [without, operations / 6 / without],
        "the two terms of the loss are made equal: their slopes should balance, which brings in alpha and beta": [
            equal,
            operations / 6 / equal,
        ],
        "this spends half the logarithm on each, whatever the law says": [root, root],
        "a parameter and a token cost 6 operations together: N·D is operations / 6": [careless, operations / careless],
    }
    log = {sentence: _numbers(wrong).log() for sentence, wrong in mistakes.items()}
    found = _numbers(answer)
    expect(bool((found > 0).all()), "both numbers should be above 0")
    for sentence, wrong in log.items():
        expect(not torch.allclose(found.log(), wrong, atol=1e-5, rtol=1e-4), sentence)
    _judge_split(found, N, D, lambda n, d: A / n**alpha + B / d**beta)
    balanced = _numbers(attempt(6e10, 5.0, 5.0, 0.5, 0.5))
    expect(bool((balanced > 0).all()), "both numbers should be above 0")
    alike = bool((balanced.log() - math.log(1e5)).abs().max() < 0.05)
    expect(alike, "when the law treats both alike, N and D should be equal")
    return "a law, a budget, and the model's size is no longer a matter of taste"


def _judge_split(found: torch.Tensor, N: float, D: float, loss: Callable[[float, float], float]) -> None:
    """Take whatever keeps to the budget and is as good as the best, so also the best of a fine grid."""
    n, d = found.tolist()
    both = f"N = {n:.4g} and D = {d:.4g}"
    cost = n * d / (N * D)
    expect(abs(cost - 1) < 1e-2, f"{both} cost {cost:.3g} times the operations that there are")
    better = f"{both} have a loss of {loss(n, d):.5g}, but N = {N:.4g} and D = {D:.4g} bring it to {loss(N, D):.5g}"
    expect(loss(n, d) < loss(N, D) * 1.0005, better)


def _line(x: list[float], y: list[float]) -> tuple[float, float]:
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    slope /= sum((a - middle_x) ** 2 for a in x)
    return middle_y - slope * middle_x, slope


def _through_the_ends(x: list[float], y: list[float]) -> list[float]:
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    return [math.exp(y[0] - slope * x[0]), -slope]


def _best_size(product: float, A: float, B: float, alpha: float, beta: float) -> float:
    ratio = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return ratio * product ** (beta / (alpha + beta))


def _numbers(values) -> torch.Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float64)
