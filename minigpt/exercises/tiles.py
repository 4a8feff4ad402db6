"""Exercises of the chapter on flash attention: the tiles of the matrix of weights, forwards and backwards."""

import math

import torch

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import Mistake, diagnose, expect, expect_close, expect_type, random_tensor

CHAPTER = "23_flash_attention"


def counted(n_query, n_key, tile):
    stops = (min(start + tile, n_query) for start in range(0, n_query, tile))
    return sum(math.ceil((n_key - n_query + stop) / tile) for stop in stops)


@exercise(
    chapter=CHAPTER,
    hints=(
        "Go through the rows of tiles one by one, and ask for each: how far do its queries see?",
        "The last query of a row of tiles sees most. It is the number `stop − 1` of the queries; where in the text does it stand?",
        "Query number i stands at place n_key − n_query + i, and sees that many keys plus one.",
        "Keys come in tiles as well: divide by `tile` and round up.",
    ),
)
def tiles_computed(attempt):
    """Return how many tiles of scores causal attention has to compute, with queries at the end of the text."""
    mistakes = {
        "all tiles are counted: those above the diagonal are never computed": 16,
        "the tiles on the diagonal are missing: the lower half of each is needed": 6,
        "these are half of all tiles: the diagonal ones are needed too": 8,
    }
    answer = attempt(64, 64, 16)
    diagnose(answer, 10, mistakes, atol=0, rtol=0)
    expect_type(answer, int, "the number is right, but it should be an integer")
    cut = {
        "the last row of tiles, which is cut short, is missing: round up": 10,
        "the last row of tiles has to be counted, also when it is short": 14,
    }
    diagnose(attempt(70, 70, 16), 15, cut, atol=0, rtol=0)
    later = {
        "the queries stand at the end of the text, and see all keys before them": 3,
        "this counts all tiles: the first queries do not see the last keys": 14,
        "this counts as if every key had a query": 28,
    }
    diagnose(attempt(32, 112, 16), 13, later, atol=0, rtol=0)
    single = {
        "a single query at the end sees every key": 1,
        "a row of tiles that is cut short sees less far than a whole one": 8,
    }
    diagnose(attempt(1, 100, 16), 7, single, atol=0, rtol=0)
    for case in ((5, 13, 4), (9, 10, 4), (3, 3, 100), (33, 64, 8)):
        n_query, n_key, tile = case
        found = attempt(*case)
        sentence = (
            f"with {n_query} queries, {n_key} keys and tiles of {tile} there are {counted(*case)} tiles: "
            "where does the last query of each row of tiles stand?"
        )
        expect(found == counted(*case), sentence)
    return "for equal lengths about half of all"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Begin with the scores of the tile, with the usual scale.",
        "By (23.7) a weight is e to the power of (score − L). There is no softmax to take: its sum is in L already.",
        "Row r of the tile stands at place first_row + r, column c at first_column + c. Which of them lie in the future?",
        "Set the future's scores to −∞ before the exponential: `torch.ones(R, S, dtype=torch.bool).triu(…)`, or compare places.",
    ),
)
def weights_again(attempt):
    """Return a tile of attention weights from queries, keys and the logarithm of each row's sum."""
    q, k = 1.5 * random_tensor(9, 4), random_tensor(9, 4, seed=1)
    future = torch.ones(9, 9, dtype=torch.bool).triu(1)
    scores = (q @ k.T / 2).masked_fill(future, -math.inf)
    log_total = scores.logsumexp(dim=-1, keepdim=True)
    weights = scores.softmax(dim=-1)
    rows, columns = slice(4, 7), slice(2, 7)
    raw = q[rows] @ k[columns].T / 2  # (3, 5)

    def hidden(diagonal):
        return raw.masked_fill(torch.ones(3, 5, dtype=torch.bool).triu(diagonal), -math.inf)

    tile, here = scores[rows, columns], log_total[rows]
    mistakes = {
        "the future is not masked": (raw - here).exp(),
        "this is a softmax over the tile: the row has more keys, and their sum is in L": tile.softmax(dim=-1),
        "the mask does not know where the tile stands: use first_row and first_column": (hidden(1) - here).exp(),
        "the mask is shifted the wrong way": (hidden(-1) - here).exp(),
        "a query may see the key of its own place": (hidden(2) - here).exp(),
        "the scale is missing: divide the scores by √D": (2 * tile - here).exp(),
        "the scores are divided by L: a logarithm is subtracted": (tile / here).exp(),
        "these are the scores minus L: the exponential is missing": tile - here,
    }
    diagnose(attempt(q[rows], k[columns], here, 4, 2), weights[rows, columns], mistakes)
    before = attempt(q[6:9], k[0:5], log_total[6:9], 6, 0)
    expect_close(
        before, weights[6:9, 0:5], "a tile that lies below the diagonal needs no mask, yet something is missing"
    )
    corner = attempt(q[0:3], k[0:3], log_total[0:3], 0, 0)
    expect_close(corner, weights[0:3, 0:3], "on the diagonal, each query sees the key of its own place")
    wide = attempt(q[4:6], k[0:9], log_total[4:6], 4, 0)
    expect_close(wide, weights[4:6], "a tile need not be square")
    return "one number for each query has replaced a row of weights"


@exercise(
    chapter=CHAPTER,
    hints=(
        "First the gradient of the weights, dW = dY · Vᵀ: `dy @ v.T`, of shape (R, S).",
        "Then the softmax: subtract δ from each row, and multiply by the weights, entry by entry.",
        "δ is a sum over the whole row, and most of the row is not here. (23.8) gets it from `y` and `dy` alone.",
    ),
)
def score_gradient(attempt):
    """Return the gradient of the scores of one tile, which is a part of its row."""
    scores, v, dy = 2 * random_tensor(3, 8), random_tensor(8, 4, seed=1), random_tensor(3, 4, seed=2)
    weights = scores.softmax(dim=-1)  # (R, T)
    y = weights @ v  # (R, D)
    w, values = weights[:, 2:6], v[2:6]
    dw = dy @ values.T  # (R, S)
    delta = (dy * y).sum(dim=-1, keepdim=True)
    here = (w * dw).sum(dim=-1, keepdim=True)
    mistakes = {
        "the softmax is missing: this is the gradient of the weights": dw,
        "δ is missing: raising one score takes weight away from the others": w * dw,
        "δ was summed over this tile alone: the row is longer, so use (23.8)": w * (dw - here),
        "δ is added: it has to be taken off": w * (dw + delta),
        "δ is taken off after multiplying with the weights: first subtract, then multiply": w * dw - delta,
        "the result is not multiplied by the weights": dw - delta,
        "each row needs a δ of its own: sum over the channels only": w * (dw - (dy * y).sum()),
        "this is a mean over the channels: a dot product is a sum": w * (dw - delta / 4),
    }
    diagnose(attempt(w, values, y, dy), w * (dw - delta), mistakes)
    square = attempt(weights, v, y, dy)
    expect_close(square, weights * (dy @ v.T - delta), "when the tile is the whole row, the result is wrong")
    total = square.sum(dim=-1)
    if not torch.allclose(total, torch.zeros(3), atol=1e-5):
        raise Mistake("over a whole row the gradients should sum to 0")
    return "and over a whole row it sums to 0: what one score gains, the others lose"
