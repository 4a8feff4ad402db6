"""Exercises of the chapter on sampling: temperature, three filters, and a stop string."""

import math
from itertools import islice

import torch

from minigpt.exercises.engine import diagnose, exercise, expect

CHAPTER = "08_sampling"


@exercise(
    chapter=CHAPTER,
    hints=(
        "For a temperature above 0, (8.2) is one line: divide, then softmax.",
        "For 0 the formula would divide by zero, so that case needs a line of its own before it.",
        "The limit has a 1 at `logits.argmax()` and zeros elsewhere: start from `torch.zeros_like(logits)`.",
    ),
)
def temperature_probabilities(attempt):
    """Return the probabilities at a temperature, and the greedy limit at temperature 0."""
    logits = torch.tensor([1.0, 3.0, 2.0, -1.0])
    plain = logits.softmax(dim=-1)
    mistakes = {
        "the logits are multiplied by the temperature: a low one then flattens, where it should sharpen": (
            (logits * 0.5).softmax(dim=-1)
        ),
        "the probabilities were divided, not the logits, so they no longer add up to 1": plain / 0.5,
        "these are the probabilities at temperature 1: yours had no effect, since it was divided away again": plain,
        "these are the divided logits, not probabilities yet": logits / 0.5,
    }
    diagnose(attempt(logits, 0.5), (logits / 0.5).softmax(dim=-1), mistakes)
    answer = attempt(logits, 0)
    expect(
        bool(torch.as_tensor(answer).isfinite().all()),
        "at temperature 0 the division gives infinity or NaN: treat that case separately",
    )
    mistakes = {
        "at temperature 0 all are equally likely: that is the limit of an infinite temperature": torch.full((4,), 0.25),
        "at temperature 0 these are the probabilities of temperature 1: the limit is 1 for the likeliest token": plain,
    }
    diagnose(answer, torch.tensor([0.0, 1.0, 0.0, 0.0]), mistakes)
    cold = attempt(torch.tensor([1.0, 3.0, 2.9]), 0.01)
    expect(
        bool(torch.as_tensor(cold).isfinite().all()),
        "at temperature 0.01 the exponentials overflow: use `softmax`, which subtracts the largest logit first",
    )
    diagnose(cold, torch.tensor([100.0, 300.0, 290.0]).softmax(dim=-1), {})
    return "0 is greedy choice, and everything above it a matter of degree"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Rule out on the level of the logits, and let the softmax do the rest: it gives a logit of -∞ probability 0.",
        "`logits.topk(k).indices` are the ids to keep. At most V of them can be asked for.",
        "Start from `torch.full_like(logits, -math.inf)` and copy the kept logits to their places.",
    ),
)
def top_k_probabilities(attempt):
    """Return the probabilities of the k likeliest tokens, with 0 for all others."""
    logits = torch.tensor([0.5, 2.0, -1.0, 1.0, 0.0])
    correct = filtered(logits, [1, 3]).softmax(dim=-1)
    plain = logits.softmax(dim=-1)
    mistakes = {
        "what is kept does not add up to 1: rule out before the softmax, or divide by the sum": plain * (correct > 0),
        "a logit of 0 is not ruled out, since its exponential is 1: use -∞": (logits * (correct > 0)).softmax(dim=-1),
        "the probabilities are sorted: each belongs in the place of its token": correct.sort(descending=True).values,
        "only the kept ones are here: the answer has a place for every token": torch.tensor([2.0, 1.0]).softmax(dim=-1),
        "k + 1 tokens are kept": filtered(logits, [0, 1, 3]).softmax(dim=-1),
        "only k - 1 tokens are kept: the k-th belongs to them": filtered(logits, [1]).softmax(dim=-1),
        "the k least likely tokens are kept": filtered(logits, [2, 4]).softmax(dim=-1),
        "`argsort` says who stands at each rank, not which rank a token has": filtered(logits, [0, 2]).softmax(dim=-1),
    }
    diagnose(attempt(logits, 2), correct, mistakes)
    turned = torch.tensor([1.0, 2.0, 0.0])
    ranks = {
        "`argsort` says who stands at each rank, not which rank a token has": filtered(turned, [0]).softmax(dim=-1)
    }
    diagnose(attempt(turned, 1), filtered(turned, [1]).softmax(dim=-1), ranks)
    tied = attempt(torch.tensor([1.0, 1.0, 0.0, 1.0]), 2)
    n_kept = int((torch.as_tensor(tied) > 0).sum())
    expect(n_kept == 2, f"where three logits are equal, {n_kept} tokens stay for k = 2: choose by rank, not by value")
    diagnose(attempt(logits, 9), plain, {"a k above V should change nothing": correct})
    return "every token is in its place, and the rest of the probability went to the kept ones"


def filtered(logits, ids):
    """The logits with all but these ids ruled out."""
    kept = torch.full_like(logits, -math.inf)
    kept[ids] = logits[ids]
    return kept


@exercise(
    chapter=CHAPTER,
    hints=(
        "Take the softmax, sort it in descending order, and remember the ids: `sort` returns both.",
        "What decides about a token is the sum of the probabilities *before* it: the running sum minus its own.",
        "Keep going down the ranks as long as that sum is below p. Since it starts at 0, the first always stays.",
        "`order[before < p].tolist()` with `ranked, order = logits.softmax(-1).sort(descending=True)`.",
    ),
)
def nucleus(attempt):
    """Return the ids of the smallest set of likeliest tokens that together reach probability p."""
    logits = torch.tensor([0.25, 0.15, 0.5, 0.1]).log()
    mistakes = {
        "the token with which the sum reaches p is missing: it still belongs to the nucleus": [2],
        "one token too many: stop with the one that reaches p": [2, 0, 1],
        "these are the right tokens in the order of their ids: the likeliest comes first": [0, 2],
        "these are ranks, not ids: look up who stands at each rank": [0, 1],
        "the sum runs in the order of the ids: sort by probability first": [0, 1, 2],
        "the sum starts with the least likely token: sort in descending order": [3, 1, 0, 2],
        "no single token has to reach p: it is the sum that counts": [],
    }
    whole = {
        "these are the right tokens in the order of their ids: the likeliest comes first": [0, 1, 2],
        "these are the right tokens from the least likely on: the likeliest comes first": [1, 0, 2],
    }
    answer = attempt(logits, 0.7)
    if isinstance(answer, list | tuple) and [*answer] == [0, 2]:  # which of the two orders is it?
        diagnose(attempt(logits, 0.85), [2, 0, 1], whole)
    diagnose(answer, [2, 0], mistakes)
    mistakes = {"where the likeliest token alone exceeds p, nothing is kept: it should always stay": []}
    diagnose(attempt(logits, 0.4), [2], mistakes)
    diagnose(attempt(logits, 1.0), [2, 0, 1, 3], {"with p = 1 every token stays": [2, 0, 1]})
    halves = attempt(torch.zeros(2), 0.5)
    expect(len(halves) == 1, "of two tokens with half the probability each, one reaches p = 0.5: the other goes")
    shifted = "adding the same number to all logits changes your answer: turn them into probabilities with a softmax"
    diagnose(attempt(logits + 3, 0.7), [2, 0], {shifted: [2]})
    diagnose(attempt(logits - 3, 0.7), [2, 0], {shifted: [2, 0, 1, 3]})
    return "few where the model is sure, many where it is not"


@exercise(
    chapter=CHAPTER,
    without=("softmax",),
    hints=(
        "Divide by the temperature first, then look for the threshold on the divided logits.",
        "(8.9) with the divided logits: keep what is at least `scaled.max() - math.log(1 / m)`.",
        "`scaled.masked_fill(condition, -math.inf)` rules out wherever the condition holds.",
    ),
)
def min_p_band(attempt):
    """Divide logits by the temperature and rule out what min-p rules out, comparing logits only."""
    logits = torch.tensor([1.0, 3.0, -0.8, 1.5, -4.0, 2.4, 0.3, 1.8])
    scaled = logits / 2
    nothing = torch.full_like(logits, -math.inf)
    correct = above(scaled, scaled.max() - math.log(5))
    mistakes = {
        "the band is too narrow: with the undivided logits it must be wider by the factor temperature": (
            above(scaled, (logits.max() - math.log(5)) / 2)
        ),
        "the band is too wide: the divided logits have the temperature in them already": (
            above(scaled, scaled.max() - 2 * math.log(5))
        ),
        "the threshold is m times the largest logit: the factor m belongs to probabilities, and becomes a sum here": (
            above(scaled, 0.2 * scaled.max())
        ),
        "the probabilities were compared with m itself: compare with m times the largest one": (
            scaled.masked_fill(scaled.softmax(dim=-1) < 0.2, -math.inf)
        ),
        "the kept logits are not divided by the temperature": logits.masked_fill(correct == -math.inf, -math.inf),
        "a logit of 0 is not ruled out: use -∞": correct.nan_to_num(neginf=0.0),
        "the logarithm has the basis 10, but logits are natural logarithms: `math.log`": (
            above(scaled, scaled.max() - math.log10(5))
        ),
        "nothing is left: the threshold lies below the largest logit, so mind the sign of the logarithm": nothing,
        "nothing was ruled out": scaled,
    }
    diagnose(attempt(logits, 2.0, 0.2), correct, mistakes)
    mistakes = {"with m = 1 the likeliest token should stay: what equals the threshold is kept": nothing}
    diagnose(attempt(logits, 1.0, 1.0), filtered(logits, [1]), mistakes)
    return "the same as min_p_filter, and not a single exponential was needed"


def above(logits, threshold):
    """The logits with all below a threshold ruled out."""
    return logits.masked_fill(logits < threshold, -math.inf)


@exercise(
    chapter=CHAPTER,
    hints=(
        "Keep a text `held` that has arrived but is not out yet. Each piece is added to it.",
        "If `stop` is in `held`, yield what stands before it and return.",
        "Otherwise find the longest ending of `held` that is a beginning of `stop`, keep that, and yield the rest.",
        "When the pieces are over, what is still held turned out to be harmless: yield it.",
    ),
)
def stream_until(attempt):
    """Yield a text piece by piece up to a stop string, holding back only what may become part of it."""
    joined = all_of(attempt, ["Good ", "night"], "END")
    diagnose(joined, "Good night", {"nothing came out though the stop string never came": ""})
    joined = all_of(attempt, ["ab", "cSTOPd", "e"], "STOP")
    mistakes = {
        "the stop string itself came out: the text ends before it": "abcSTOP",
        "the stream went on after the stop string": "abcSTOPde",
        "the stop string was cut out, but the text should end there": "abcde",
        "what stands before the stop string in the same piece got lost": "ab",
    }
    diagnose(joined, "abc", mistakes)
    joined = all_of(attempt, ["aSTOPbSTOPc"], "STOP")
    diagnose(joined, "a", {"the text ends before the first stop string, not before the last": "aSTOPb"})
    joined = all_of(attempt, "Hark! JULIET: why", "JULIET:")
    mistakes = {
        "a stop string that came in several pieces was not noticed: look for it in what has arrived so far": (
            "Hark! JULIET: why"
        ),
        "a part of the stop string was out before it was complete: hold back what may become the stop string": (
            "Hark! JULIET"
        ),
    }
    diagnose(joined, "Hark! ", mistakes)
    joined = all_of(attempt, "a JUST man JU", "JULIET:")
    mistakes = {
        "what was held back at the end got lost: when the pieces are over, it is harmless": "a JUST man ",
        "what was held back got lost when it turned out to be harmless": "a ST man JU",
    }
    diagnose(joined, "a JUST man JU", mistakes)
    joined = all_of(attempt, "aaab!", "aab")
    diagnose(joined, "a", {"`aab` was overlooked in `aaab`: after a false start, look for one inside it": "aaab!"})
    check_promptness(attempt)
    return "nothing too early, nothing too late"


def all_of(attempt, pieces, stop):
    """Return all that comes out, as one text; a stream without end is cut off."""
    return "".join(islice(attempt(iter(pieces), stop), 1000))


def check_promptness(attempt):
    """Expect that after each piece everything is out that can be, and nothing more."""
    pieces = ["to ", "J", "U", "ST", " JUJ", "U", "LIET:"]
    due = ["", "to ", "to ", "to ", "to JUST", "to JUST JU", "to JUST JU"]  # before each piece is read
    released, out, after_the_end = [], [], []

    def watched():
        for piece in pieces:
            out.append("".join(released))
            yield piece
        after_the_end.append(True)

    for piece in attempt(watched(), "JULIET:"):
        released.append(piece)
    expect(any(out), "nothing comes out before all is read: `yield` inside the loop")
    for found, text in zip(out, due, strict=True):
        places = f"{found!r} was out when {text!r} could be"
        expect(len(found) >= len(text), f"only {places}: hold back no more than you must")
        expect(len(found) <= len(text), f"{places}, and no more: `JU` may become `JULIET:`")
    expect(not after_the_end, "the stream read on after the stop string was complete: return as soon as it is there")
