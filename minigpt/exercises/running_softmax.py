"""Exercises of the chapter on flash attention: a softmax whose row comes in pieces."""

import math

import torch

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_close, expect_shape, expect_type, random_tensor

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
