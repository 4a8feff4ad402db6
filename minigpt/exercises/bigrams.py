"""Exercises of the chapter on bigrams: counts, a stable loss, its units, its gradient, and a draw."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, expect_equal, expect_type, random_tensor

CHAPTER = "03_bigrams"


@exercise(
    chapter=CHAPTER,
    hints=(
        "In each row the pairs are `ids[b, t]` and `ids[b, t + 1]`, and there are T - 1 of them.",
        "`ids[:, :-1]` and `ids[:, 1:]` are all firsts and all seconds, row by row, so no pair crosses a border.",
        "`counts[first, second] += 1` with tensors of ids counts a repeated pair once only: "
        "use a loop, `index_put_(…, grad_accum_steps=True)`, or `bincount` of `first * vocab_size + second`.",
    ),
)
def bigram_counts(attempt):
    """Count, in a batch of separate texts, how often each token follows each other one."""
    ids = torch.tensor([[0, 1, 1, 2], [2, 2, 0, 1]])
    right = pair_counts(ids[:, :-1], ids[:, 1:])
    flat = ids.flatten()
    around = pair_counts(ids, ids.roll(-1, dims=1))
    mistakes = {
        "rows and columns are exchanged: the row is the token that comes first": right.T,
        "the last token of one row and the first of the next are no pair: the rows are separate texts": pair_counts(
            flat[:-1], flat[1:]
        ),
        "a pair that occurs twice is counted once: `+=` adds only one of them": right.clamp(max=1),
        "these are probabilities: counts are asked for, before any division": right / right.sum(1, True).clamp(min=1),
        "the last token has no successor, and it does not go back to the first one: there are T - 1 pairs": around,
        "every pair is counted in both directions: the order matters": right + right.T,
        "only the first row of the batch was counted": pair_counts(ids[:1, :-1], ids[:1, 1:]),
    }
    diagnose(attempt(ids, 4), right, mistakes)
    empty = attempt(torch.tensor([[2], [0]]), 3)
    expect_equal(empty, torch.zeros_like(torch.as_tensor(empty)), "rows of a single token hold no pair at all")
    return "divide each row by its sum, and you have a language model"


def pair_counts(first: Tensor, second: Tensor, vocab_size: int = 4) -> Tensor:
    """The counts (V, V) of pairs of ids."""
    pairs = (first * vocab_size + second).flatten()
    return pairs.bincount(minlength=vocab_size**2).view(vocab_size, vocab_size).float()


@exercise(
    chapter=CHAPTER,
    without=("cross_entropy",),
    hints=(
        "Equation (3.11) needs two things at each place: the logit of the target, and the log of the sum over all V.",
        "`logits.gather(-1, targets.unsqueeze(-1))` picks the logit of each target, with shape (B, T, 1).",
        "For the sum: subtract `largest = logits.max(dim=-1, keepdim=True).values` first, and add it back at the end.",
    ),
)
def stable_cross_entropy(attempt):
    """Return the mean cross-entropy of logits (B, T, V) against targets (B, T), whatever the size of the logits."""
    logits, targets = 2 * random_tensor(2, 3, 4), torch.tensor([[0, 1, 2], [3, 1, 0]])
    at = targets.unsqueeze(-1)
    chosen = logits.log_softmax(-1).gather(-1, at)
    mistakes = {
        "the sign is missing: logarithms of probabilities are negative, and a loss is minus their mean": chosen.mean(),
        "this is the sum over all places: the mean is asked for": -chosen.sum(),
        "this is in bits: use the natural logarithm": -chosen.mean() / math.log(2),
        "this is one loss for each place: take their mean": -chosen.squeeze(-1),
        "this is the logarithm of the mean probability: take the logarithms first, then their mean": -(
            chosen.exp().mean().log()
        ),
        "this is the mean probability of the targets: its logarithm never came": chosen.exp().mean(),
        "the logits are not log-probabilities yet: subtract the logarithm of the sum of exponentials": -(
            logits.gather(-1, at).mean()
        ),
        "the probabilities add up to 1 over time: normalise over the last axis, the vocabulary": -(
            logits.log_softmax(1).gather(-1, at).mean()
        ),
    }
    diagnose(attempt(logits, targets), -chosen.mean(), mistakes)
    sure = torch.tensor([[[1000.0, 0.0]]])
    for target, loss in ((0, 0.0), (1, 1000.0)):
        answer = attempt(sure, torch.tensor([[target]]))
        number = torch.as_tensor(answer)
        expect(not number.isnan().any(), "with a logit of 1000 the exponential overflows: subtract the largest first")
        vanished = "the probability of the target was rounded to 0 before its logarithm: stay with logarithms"
        if target == 0:
            vanished = "the exponential of 1000 is infinite, and so is the sum: subtract the largest logit first"
        expect(not number.isinf().any(), vanished)
        limit = "logits of 1000 and 0 cost 1000 nats when the second comes: cut nothing off, add no small number"
        expect_close(answer, loss, limit)
    low = attempt(torch.tensor([[[-1000.0, -1001.0]]]), torch.tensor([[0]]))
    below = "with logits near -1000 all exponentials become 0: subtract the largest logit, whatever its sign"
    expect_close(low, math.log(1 + math.exp(-1)), below)
    return "this is F.cross_entropy, and minigpt.cross_entropy"


@exercise(
    chapter=CHAPTER,
    hints=(
        "The loss is in nats per token; (3.7) makes a perplexity of it.",
        "(3.8) turns nats into bits. That is bits per *token* still.",
        "All tokens together cost `n_tokens` times as much; share that among `n_characters`.",
    ),
)
def perplexity_and_bits(attempt):
    """Turn a loss in nats per token into the perplexity per token and the bits per character."""
    loss, n_tokens, n_characters = 1.5, 200, 800
    perplexity, bits = math.exp(loss), loss / math.log(2) / 4
    answer = attempt(loss, n_tokens, n_characters)
    if answer is not None:
        expect_type(answer, (tuple, list), "two numbers are asked for: return perplexity, bits_per_character")
        expect(len(answer) == 2, f"two numbers are asked for, but {len(answer)} came back")
    mistakes = {
        "the two numbers are in the wrong order: the perplexity comes first": (bits, perplexity),
        "the loss is in nats, so the basis of the perplexity is e, not 2": (2**loss, bits),
        "a bit is the smaller unit, so there are more of them: divide by ln 2": (perplexity, loss * math.log(2) / 4),
        "these are bits per token: share them among the characters": (perplexity, 4 * bits),
        "tokens and characters are exchanged: longer tokens mean fewer bits a character": (perplexity, 16 * bits),
        "the bits are nats still": (perplexity, loss / 4),
        "this is the perplexity per character: the one per token is asked for": (math.exp(loss / 4), bits),
        "the perplexity is e to the loss in nats: do not convert twice": (math.exp(loss / math.log(2)), bits),
    }
    diagnose(answer, (perplexity, bits), mistakes)
    diagnose(attempt(0.0, 10, 10), (1.0, 0.0), {})
    return "minigpt's Evaluation computes both in the same way"


@exercise(
    chapter=CHAPTER,
    without=("autograd",),
    hints=(
        "Equation (3.12), for every row at once: probabilities, minus 1 at the target.",
        "`F.one_hot(targets, V)` is a table of zeros with a 1 at each target.",
        "The loss is a *mean* over N rows, so each row counts for 1/N of it.",
    ),
)
def cross_entropy_gradient(attempt):
    """Return the gradient of the mean cross-entropy with respect to the logits (N, V), without autograd."""
    logits, targets = random_tensor(3, 4, seed=1), torch.tensor([2, 0, 2])
    p, one_hot = logits.softmax(-1), F.one_hot(targets, 4).float()
    right = (p - one_hot) / 3
    mistakes = {
        "this is the gradient of the sum: for the mean over N rows, divide by N": p - one_hot,
        "the sign is reversed: raising the logit of the target lowers the loss": -right,
        "this is divided by all N · V entries: the mean is over the N rows": right / 4,
        "the target is missing: subtract 1 from its probability": p / 3,
        "the one-hot is subtracted from logits: turn them into probabilities first": (logits - one_hot) / 3,
        "only the logit of the target has a gradient here, but all the others moved the sum, too": right * one_hot,
        "this is the derivative of the probabilities, not of the loss": p * (one_hot - p) / 3,
        "the softmax runs down the columns: each row has its own probabilities": (logits.softmax(0) - one_hot) / 3,
        "`p[:, targets]` takes these columns in every row: pair each row with its own target alone": (
            p - one_hot.amax(0)
        )
        / 3,
    }
    diagnose(attempt(logits, targets), right, mistakes)
    return "the rows add up to 0: what one logit gains, the others lose"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Lay the probabilities end to end: token j owns the stretch from the sum before it to the sum with it.",
        "`probabilities.cumsum(dim=0)` gives the right ends of the stretches. Which is the first that lies *beyond* u?",
        "Count the ends that u has reached, `(ends <= u).sum()`; but rounding may leave the last end below 1.",
    ),
)
def sample_next(attempt):
    """Draw the id of the next token from probabilities (V,), given a uniform random number u from 0 to 1."""
    probabilities = torch.tensor([0.5, 0.05, 0.05, 0.15, 0.15, 0.1])
    answers = [attempt(probabilities, 0.85) for _ in range(20)]
    same = all(str(answer) == str(answers[0]) for answer in answers)
    expect(same, "the same u gives different tokens: all the chance is in u, so draw nothing yourself")
    mistakes = {
        "each probability is compared with u by itself: it is their running sum that u falls into": 2,
        "this is the likeliest token, whatever u is: draw one instead": 3,
        "this is one token too low: its stretch ends before u": 0,
        "this is a probability: the id of the token is asked for": 0.15,
    }
    diagnose(attempt(torch.tensor([0.2, 0.15, 0.3, 0.35]), 0.25), 1, mistakes)
    mistakes = {
        "this is the likeliest token, whatever u is: draw one instead": 0,
        "here all tokens are equally likely: use the probabilities": 5,
        "this is one token too low: its stretch ends before u": 3,
        "this is a probability: the id of the token is asked for": 0.15,
    }
    diagnose(answers[0], 4, mistakes)
    expect_equal(attempt(probabilities, 0.2), 0, "u = 0.2 lies in the first stretch, which reaches to 0.5")
    gap = torch.tensor([0.0, 0.25, 0.0, 0.75])
    never = "a token of probability 0 was drawn: a stretch includes its beginning, but not its end"
    expect(attempt(gap, 0.0) != 0, never)
    border = "u = 0.25 is where the second token's stretch ends, so it belongs to the next token with any probability"
    expect_equal(attempt(gap, 0.25), 3, border)
    short = attempt(torch.tensor([0.5, 0.4999]), 0.99995)
    expect_equal(short, 1, "rounding can leave the sum just below 1, and u above it: then the last token is drawn")
    return "torch.multinomial does this for you, u included"
