"""Exercises of the chapter on everything at once: orthogonal steps, sizes that match, and differences that count."""

import math
import statistics

import torch
from torch import Tensor

from minigpt.exercises.engine import diagnose, exercise, expect, expect_equal, expect_type, random_tensor

CHAPTER = "29_everything_at_once"


@exercise(
    chapter=CHAPTER,
    without=("svd",),
    hints=(
        "Which matrix has the cubes of the singular values of X, and the same directions?",
        "By (29.5) it is X Xᵀ X: three matrices multiplied, not numbers cubed.",
        "The polynomial then says `1.5 * x - 0.5 * …`.",
    ),
)
def cubic_round(attempt):
    """Return the matrix (R, C) with each singular value s replaced by (3s - s³)/2."""
    x = random_tensor(3, 5) / 4
    cube = x @ x.T @ x
    flipped = 1.5 * x + 0.5 * cube
    mistakes = {
        "each number is cubed by itself, but it is the singular values that should be: use matrix products": (
            1.5 * x - 0.5 * x**3
        ),
        "the cube is added: it has to be subtracted": flipped,
        "the half is missing: this is three times the matrix, less its cube": 3 * x - cube,
        "only the cube is halved: the polynomial is (3s - s³)/2": 3 * x - 0.5 * cube,
        "only the first term is halved: the polynomial is (3s - s³)/2": 1.5 * x - cube,
        "this is the cube alone": cube,
        "the square stands where the cube should: multiply by the matrix once more": x @ x.T,
        "the matrix is divided by its size first, which was not asked for": (
            1.5 * x / x.norm() - 0.5 * cube / x.norm() ** 3
        ),
        "this has made all singular values 1 at once: only one round is asked for": (
            torch.linalg.svd(x, full_matrices=False)[0] @ torch.linalg.svd(x, full_matrices=False)[2]
        ),
    }
    diagnose(attempt(x), 1.5 * x - 0.5 * cube, mistakes)
    tall = random_tensor(6, 2, seed=1) / 4
    diagnose(attempt(tall), 1.5 * tall - 0.5 * tall @ tall.T @ tall, {})
    return "eight such rounds bring 0.1 to 1; Muon's polynomial is near it after two, and then does not stay"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Two things have to be true of each name: where it stands, and the shape of what it names.",
        "`name.startswith('blocks.')` keeps tokens, positions, the last norm and the head out.",
        "A matrix has two dimensions: `len(shape) == 2` keeps the norms and biases of the blocks out.",
    ),
)
def for_muon(attempt):
    """Return the names of the matrices inside the blocks, a list of strings."""
    shapes = {
        "token_embedding.weight": (65, 12),
        "position.table.weight": (16, 12),
        "blocks.0.attention_norm.weight": (12,),
        "blocks.0.attention.qkv.weight": (36, 12),
        "blocks.0.attention.qkv.bias": (36,),
        "blocks.0.attention.out.weight": (12, 12),
        "blocks.0.mlp.up.weight": (48, 12),
        "blocks.0.mlp.down.weight": (12, 48),
        "final_norm.weight": (12,),
        "lm_head.weight": (65, 12),
        "lm_head.bias": (65,),
    }
    inside = [name for name in shapes if name.startswith("blocks.")]
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    right = [name for name in inside if name in matrices]
    mistakes = {
        "the norms and biases of the blocks are among them: they are vectors, and have no singular values": inside,
        "embeddings and head are among them: they are matrices, but stand outside the blocks": matrices,
        "the head is among them: it stands outside the blocks": [*right, "lm_head.weight"],
        "the table of tokens is among them: it stands outside the blocks": ["token_embedding.weight", *right],
        "only attention is there: the matrices of the MLP are Muon's, too": right[:2],
        "only the MLP is there: the matrices of attention are Muon's, too": right[2:],
        "only the square matrices are there: Muon takes any shape with two sides": right[1:2],
        "these are the ones that stay with AdamW": [name for name in shapes if name not in right],
        "this is how many there are: their names are asked for": len(right),
    }
    answer = attempt(shapes)
    expect(not isinstance(answer, dict | set | Tensor), "a list of names is asked for, in the order of the model")
    diagnose(answer, right, mistakes)
    other = {
        "blocks.11.mlp.gate.weight": (8, 4),
        "blocks.11.attention.q_norm.weight": (4,),
    }
    expect_equal(
        list(attempt(other)), ["blocks.11.mlp.gate.weight"], "for another model it goes wrong: go by names and shapes"
    )
    return "the package finds the same ones by asking which modules are linear layers"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Count all that does not depend on F first: 2·V·C for tokens and head, C for the last norm, and per layer "
        "4·C² for attention, 2·C for two norms, 2·D for the queries' and keys' norms.",
        "Each hidden channel costs 2·C numbers in every layer: one column and one row.",
        "`round((target - rest) / price)` is the nearest, where `//` would always be below.",
    ),
)
def rival_hidden(attempt):
    """Return the hidden width that brings the number of parameters nearest to target."""
    sizes = {"vocab_size": 50, "n_layer": 3, "n_embd": 8, "head_dim": 4}
    norms, final, queries, attention, tables, price = 2 * 8 * 3, 8, 2 * 4 * 3, 4 * 64 * 3, 2 * 50 * 8, 2 * 8 * 3
    rest = norms + final + queries + attention + tables
    target = rest + 20 * price + 40
    left = target - rest

    def width(more: int = 0, each: int = price) -> int:
        return round((left + more) / each)

    mistakes = {
        "this stays below the target, but one channel more would come nearer": 20,
        "this is not rounded: a width is a whole number": left / price,
        "the price is that of three matrices, but ReLU² has two": width(each=3 * 8 * 3),
        "the price of a channel is counted in one layer only: every layer has it": width(each=2 * 8),
        "each channel costs a column in `up` and a row in `down`, not one of them": width(each=8 * 3),
        "the head is forgotten: it has a matrix of its own": width(50 * 8),
        "attention is forgotten": width(attention),
        "attention is counted once: every layer has it": width(2 * 4 * 64),
        "queries, keys and values are there, but not the matrix that comes after them": width(64 * 3),
        "the norms of the blocks are forgotten": width(norms),
    }
    answer = attempt(target, **sizes)
    if not isinstance(answer, float):
        expect_type(answer, int)
    diagnose(answer, 21, mistakes, atol=0, rtol=0)
    thin = {"vocab_size": 3, "n_layer": 1, "n_embd": 2, "head_dim": 2}
    rest = 2 * 3 * 2 + 2 + 4 * 4 + 2 * 2 + 2 * 2  # 38, and each channel costs 4
    below = attempt(rest + 4 * 8 - 1, **thin)
    diagnose(below, 8, {"the weights of QK-norm are forgotten, one for queries and one for keys": 9}, atol=0, rtol=0)
    mistakes = {"the weight of the last norm is forgotten": 9, "both small norms are forgotten": 10}
    diagnose(attempt(rest + 4 * 8 + 1, **thin), 8, mistakes, atol=0, rtol=0)
    return "so can any model have a rival of its own size"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Which seeds are in both? `changed.keys() & baseline.keys()` holds them.",
        "One difference for each of these seeds; their mean is the first answer.",
        "`statistics.stdev(differences) / math.sqrt(len(differences))` is the second.",
    ),
)
def paired_difference(attempt):
    """Return the mean difference over common seeds and its standard error, two floats."""
    changed = {3: 1.92, 1: 1.70, 2: 1.85, 9: 1.00}
    baseline = {1: 1.80, 2: 1.98, 3: 2.00, 4: 2.50}
    common = sorted(changed.keys() & baseline.keys())
    differences = [changed[seed] - baseline[seed] for seed in common]
    mean, deviation = statistics.mean(differences), statistics.stdev(differences)
    error = deviation / math.sqrt(3)
    mine, theirs = [changed[seed] for seed in common], [baseline[seed] for seed in common]
    unpaired = math.sqrt((statistics.variance(mine) + statistics.variance(theirs)) / 3)
    in_order = [x - y for x, y in zip(changed.values(), baseline.values(), strict=True)]
    everything = statistics.mean(changed.values()) - statistics.mean(baseline.values())
    mistakes = {
        "the sign is turned: changed minus baseline, so that a lower loss is negative": (-mean, error),
        "the spread of both groups is added, so the pairs are lost: take the spread of the differences": (
            mean,
            unpaired,
        ),
        "this is the standard deviation: the error of a mean is smaller by the root of their number": (mean, deviation),
        "the standard deviation is divided by n, not by the root of n": (mean, deviation / 3),
        "the deviation has n below, where n - 1 belongs": (mean, statistics.pstdev(differences) / math.sqrt(3)),
        "this is the variance of the mean: the root is missing": (mean, error**2),
        "the losses are paired in the order of the dictionaries, not by seed": (
            statistics.mean(in_order),
            statistics.stdev(in_order) / 2,
        ),
        "seeds that only one of them has count too: use the common ones": (everything, error),
    }
    answer = attempt(changed, baseline)
    expect(isinstance(answer, tuple | list) and len(answer) == 2, "two numbers are asked for: the mean, and its error")
    diagnose(tuple(map(float, answer)), (mean, error), mistakes, atol=1e-6, rtol=1e-5)
    return "the cards multiply this error by Student's t, and call what lies outside a difference"
