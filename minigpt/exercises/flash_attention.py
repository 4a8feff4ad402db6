"""Exercises of the chapter on flash attention: a softmax in pieces, and tiles, forwards and backwards."""

import math
import weakref

import torch

from minigpt.exercises.engine import (
    Mistake,
    diagnose,
    exercise,
    expect,
    expect_close,
    expect_shape,
    expect_type,
    random_tensor,
)

CHAPTER = "23_flash_attention"


def state(scores, values):
    """The state after some keys: largest score, sum, and sum with values; (R, S), (S, D)."""
    highest = scores.amax(dim=-1, keepdim=True)
    weights = (scores - highest).exp()
    return highest, weights.sum(dim=-1, keepdim=True), weights @ values


@exercise(
    chapter=CHAPTER,
    hints=(
        "Both sums of each half are measured from that half's own `highest`. First decide on one reference for both.",
        "The reference is the larger of the two, entry by entry: `torch.maximum`.",
        "By (23.4), each half is multiplied by e to the power of (its own reference − the common one). Then sums add up.",
    ),
)
def merge_states(attempt):
    """Return the state of an online softmax after two parts of a row, each of which was read separately."""
    scores, values = 3 * random_tensor(4, 7), random_tensor(7, 5, seed=1)
    scores[0, 1], scores[1, 0] = 9.0, 8.0  # in these two rows the first half has the larger reference
    first, second = state(scores[:, :3], values[:3]), state(scores[:, 3:], values[3:])
    merged = attempt(first, second)
    expect_type(merged, (tuple, list), "return three tensors: highest, total, mixed")
    expect(len(merged) == 3, f"return three tensors, highest, total and mixed, not {len(merged)}")
    highest, total, mixed = state(scores, values)
    (m1, l1, a1), (m2, l2, a2) = first, second
    diagnose(
        merged[0],
        highest,
        {
            "the references are added: take the larger of the two, row by row": m1 + m2,
            "this keeps the first half's reference": m1,
            "this keeps the second half's reference, which need not be the larger": m2,
            "one maximum was taken over all rows: each row has its own": torch.maximum(m1, m2).amax().expand(4, 1),
        },
    )
    up1, up2 = (m1 - highest).exp(), (m2 - highest).exp()
    mistakes = {
        "the two totals are added as they are: shrink each to the common reference first": l1 + l2,
        "only the first half is shrunk: the second may be the one with the smaller reference": l1 * up1 + l2,
        "only the second half is shrunk: the first may be the one with the smaller reference": l1 + l2 * up2,
        "the exponent has the wrong sign: sums shrink when the reference grows": l1 / up1 + l2 / up2,
        "the factors are exchanged: each half is shrunk by its own difference to the common reference": l1 * up2
        + l2 * up1,
    }
    diagnose(merged[1], total, mistakes)
    diagnose(
        merged[2],
        mixed,
        {
            "the values' sums are added as they are: they have to be shrunk like the totals": a1 + a2,
            "`mixed` is divided already: the division waits until all keys have come": mixed / total,
            "these are the two averages added up: add the sums, and divide at the very end": a1 / l1 + a2 / l2,
        },
    )
    nothing = (torch.full((4, 1), -math.inf), torch.zeros(4, 1), torch.zeros(4, 5))
    for pair, place in (((nothing, first), "first"), ((first, nothing), "second")):
        found = attempt(*pair)
        sentence = f"a half that has seen nothing must change nothing, also when it comes {place}"
        for actual, expected in zip(found, first, strict=True):
            expect_shape(actual, expected.shape)
            expect(not torch.isnan(actual).any(), sentence)
            expect_close(actual, expected, sentence)
    far = attempt((m1 + 1000, l1, a1), second)
    expect(torch.isfinite(far[1]).all(), "with scores about 1000 it overflows: every exponent should be at most 0")
    return "in any order and any grouping, so a row can be shared out among many"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Carry `highest`, `total` and `mixed` along. They begin at −∞, 0 and 0.",
        "A piece's scores are `keys @ query / math.sqrt(len(query))`, of shape (S,).",
        "Then (23.5): the new reference, the factor that shrinks what there is, the new terms.",
        "Divide `mixed` by `total` once, after the loop.",
    ),
)
def attend_in_pieces(attempt):
    """Return the attention of one query over keys and values that come in pieces."""
    query, keys, values = 2 * random_tensor(4), random_tensor(9, 4, seed=1), random_tensor(9, 3, seed=2)
    cuts = ((0, 2), (2, 3), (3, 7), (7, 9))

    def pieces(scale=1.0, shift=0.0):
        return ((scale * keys[a:b] + shift, values[a:b]) for a, b in cuts)

    scores = keys @ query / 2
    correct = scores.softmax(dim=0) @ values
    averages = torch.stack([scores[a:b].softmax(dim=0) @ values[a:b] for a, b in cuts])
    highest, total, mixed = torch.tensor(-math.inf), torch.tensor(0.0), torch.zeros(3)
    for a, b in cuts:
        highest = torch.maximum(highest, scores[a:b].max())
        weights = (scores[a:b] - highest).exp()
        total, mixed = total + weights.sum(), mixed + weights @ values[a:b]
    mistakes = {
        "the scale is missing: divide the scores by √D": (2 * scores).softmax(dim=0) @ values,
        "the scores are divided by D, not by its root": (scores / 2).softmax(dim=0) @ values,
        "this averages the pieces' averages: pieces differ in weight": averages.mean(dim=0),
        "this adds the pieces' averages up: add the two sums, and divide once, at the end": averages.sum(dim=0),
        "the sums so far are not shrunk when the reference moves": mixed / total,
        "only the last piece counts: the state has to be carried from piece to piece": averages[-1],
        "the sum is not divided by the total": (scores - scores.max()).exp() @ values,
        "this is a plain average of all values": values.mean(dim=0),
    }
    diagnose(attempt(query, pieces()), correct, mistakes)
    held: list[tuple] = []

    def watched():
        for a, b in cuts:
            several = sum(one() is not None or other() is not None for one, other in held)
            expect(several < 2, "all pieces are held at the same time: take each into the state, and let it go")
            piece = (keys[a:b].clone(), values[a:b].clone())
            held.append((weakref.ref(piece[0]), weakref.ref(piece[1])))
            yield piece
            del piece

    expect_close(attempt(query, watched()), correct, "with the same pieces once more, the result is another")
    found = attempt(300 * query, pieces())
    expect(not torch.isnan(found).any(), "with large scores the exponentials overflow: subtract the largest so far")
    expect_close(found, (300 * scores).softmax(dim=0) @ values, "with large scores the result is wrong")
    low = torch.tensor([40.0, 0.0, 0.0, 0.0])
    negative = (300 * keys - 1000 * low) @ query / 2
    found = attempt(query, ((300 * keys[a:b] - 1000 * low, values[a:b]) for a, b in cuts))
    sentence = "when all scores are far below 0 the result is wrong: the reference begins at −∞, not at 0"
    expect(not torch.isnan(found).any(), sentence)
    expect_close(found, negative.softmax(dim=0) @ values, sentence)
    return "two numbers and an average in the making, however long the text"


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
    lse = scores.logsumexp(dim=-1, keepdim=True)
    weights = scores.softmax(dim=-1)
    rows, columns = slice(4, 7), slice(2, 7)
    raw = q[rows] @ k[columns].T / 2  # (3, 5)

    def hidden(diagonal):
        return raw.masked_fill(torch.ones(3, 5, dtype=torch.bool).triu(diagonal), -math.inf)

    tile, here = scores[rows, columns], lse[rows]
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
    before = attempt(q[6:9], k[0:5], lse[6:9], 6, 0)
    expect_close(
        before, weights[6:9, 0:5], "a tile that lies below the diagonal needs no mask, yet something is missing"
    )
    corner = attempt(q[0:3], k[0:3], lse[0:3], 0, 0)
    expect_close(corner, weights[0:3, 0:3], "on the diagonal, each query sees the key of its own place")
    wide = attempt(q[4:6], k[0:9], lse[4:6], 4, 0)
    expect_close(wide, weights[4:6], "a tile need not be square")
    loud = 100 * q
    louder = (loud @ k.T / 2).masked_fill(future, -math.inf)
    found = attempt(loud[rows], k[columns], louder.logsumexp(dim=-1, keepdim=True)[rows], 4, 2)
    apart = "e to the score over e to the L overflows for large scores: subtract L before the exponential"
    expect(bool(found.isfinite().all()), apart)
    expect_close(found, louder.softmax(dim=-1)[rows, columns], "with large scores the weights come out wrong")
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
        "this has the scale's 1/√D in it: dS is the gradient of the scores, which the scale comes before": (
            w * (dw - delta) / 2
        ),
        "this is a mean over the channels: a dot product is a sum": w * (dw - delta / 4),
    }
    diagnose(attempt(w, values, y, dy), w * (dw - delta), mistakes)
    square = attempt(weights, v, y, dy)
    expect_close(square, weights * (dy @ v.T - delta), "when the tile is the whole row, the result is wrong")
    total = square.sum(dim=-1)
    if not torch.allclose(total, torch.zeros(3), atol=1e-5):
        raise Mistake("over a whole row the gradients should sum to 0")
    return "and over a whole row it sums to 0: what one score gains, the others lose"
