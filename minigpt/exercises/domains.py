"""Exercises of the chapter on more domains: vocabularies, splits, one loss for all, mixtures, and what depth is left."""

import math

from minigpt.exercises.engine import diagnose, exercise, expect, expect_equal, expect_type

CHAPTER = "09_more_domains"


@exercise(
    chapter=CHAPTER,
    hints=(
        "`collections.Counter(text)` counts the characters. How many of them may stay, if one place is for `unknown`?",
        "Sort the characters by `(-count, character)`: the most frequent first, and equals by code point.",
        "Take `vocab_size - 1` of them (without `unknown`, should it occur in the text), add `unknown`, sort, and join.",
    ),
)
def frequent_vocabulary(attempt):
    """Return a sorted vocabulary of at most vocab_size characters: the most frequent ones, and unknown."""
    text = "cabbage, a cabbageda"  # a 6, b 4; space, c, e, g 2 each; comma, d once
    mistakes = {
        "there is one character too many: `unknown` takes one of the places": " ?abc",
        "`unknown` is missing from the vocabulary": " ab",
        "`unknown` is missing, and another character has its place": " abc",
        "these are the first characters of the alphabet: choose by frequency": " ,?a",
        "these are the rarest characters: the most frequent ones should stay": " ,?d",
        "the right characters, but not sorted by code point": "ab ?",
        "of equally frequent characters the one with the lowest code point should stay": "?abc",
    }
    diagnose(attempt(text, 4, "?"), " ?ab", mistakes)
    counted_twice = {"`unknown` occurs in this text, and takes two places: it needs only one": "?a"}
    diagnose(attempt("??????aabbc", 3, "?"), "?ab", counted_twice)
    expect_equal(attempt("ba", 9, "?"), "?ab", "a text with few characters should keep them all, beside `unknown`")
    return "this is the vocabulary that `CharTokenizer.from_text` builds"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Go through the voices one by one: each is split by itself.",
        "`held_out = len(text) // 10`, and the border is at `len(text) - held_out`.",
        "Join the first parts of all voices to one text, and the last parts to another, in the dictionary's order.",
    ),
)
def split_voices(attempt):
    """Return two texts: what to train on, and the last tenth of each voice for validation."""
    voices = {"verse": "abcdefghijklmnopqrstuvwxy", "code": "01234567890123456789", "prose": "ABCDEFGHIJKLM"}
    training, validation = "abcdefghijklmnopqrstuvw" + "012345678901234567" + "ABCDEFGHIJKL", "xy" + "89" + "M"
    whole = "".join(voices.values())
    mistakes = {
        "the tenth is taken from the end of all voices together, so not every voice is validated": [
            whole[:-5],
            whole[-5:],
        ],
        "the first tenth of each voice is held out: hold out the last": [
            "cdefghijklmnopqrstuvwxy" + "23456789" + "0123456789" + "BCDEFGHIJKLM",
            "ab" + "01" + "A",
        ],
        "the two are the wrong way round: return the training text first": [validation, training],
        "the training text still holds what is held out": [whole, validation],
        "the tenth is rounded up: round it down": [
            "abcdefghijklmnopqrstuv" + "012345678901234567" + "ABCDEFGHIJK",
            "wxy" + "89" + "LM",
        ],
        "the voices are in another order: keep that of the dictionary": [
            "012345678901234567" + "ABCDEFGHIJKL" + "abcdefghijklmnopqrstuvw",
            "89" + "M" + "xy",
        ],
    }
    answer = attempt(voices)
    expect_type(answer, (list, tuple), "two texts are asked for: return training, validation")
    expect(len(answer) == 2, f"two texts are asked for (training, validation), but {len(answer)} came back")
    diagnose(answer, [training, validation], mistakes)
    expect_equal(
        attempt({"verse": "abc", "code": "x" * 10}),
        ["abc" + "x" * 9, "x"],
        "a voice of fewer than ten characters has no tenth to hold out: all of it is for training",
    )
    return "every voice is trained on, and every voice is validated"


@exercise(
    chapter=CHAPTER,
    hints=(
        "A loss is a mean. What is the sum of the losses of all characters of one voice?",
        "Multiply each loss by its number of characters, add up, and divide by the number of all characters.",
        "From nats to bits: divide by `math.log(2)`.",
    ),
)
def overall_bits(attempt):
    """Return the bits per character over all voices, from each one's loss in nats and number of characters."""
    parts = [(1.4, 1000), (0.7, 4000), (1.1, 500)]
    total, n = sum(loss * size for loss, size in parts), sum(size for _, size in parts)
    mean = sum(loss for loss, _ in parts) / len(parts)
    perplexity = sum(math.exp(loss) * size for loss, size in parts) / n
    mistakes = {
        "every voice counts the same, however short it is: weight each loss by its characters": mean / math.log(2),
        "this is in nats: divide by ln 2": total / n,
        "this is in nats, and every voice counts the same": mean,
        "the losses are multiplied by ln 2: a nat is more than a bit, so the number should grow": total
        / n
        * math.log(2),
        "this is the sum over all characters: divide it by their number": total / math.log(2),
        "the sum is divided by the number of voices and not by that of characters": total / len(parts) / math.log(2),
        "the perplexities are averaged: average the losses themselves": math.log2(perplexity),
    }
    diagnose(attempt(parts), total / n / math.log(2), mistakes, atol=1e-6)
    diagnose(attempt([(math.log(2), 7)]), 1.0, {}, atol=1e-6)
    return "this is what `EvalResult.combine` computes"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Raise each size to the power `alpha` first.",
        "What comes out does not add up to 1 yet.",
        "`weights = [size**alpha for size in sizes]`, then divide each by `sum(weights)`.",
    ),
)
def mixture_weights(attempt):
    """Return the probability of drawing from each voice, in proportion to its size to the power alpha."""
    sizes = [100, 400, 2500]  # with the roots 10, 20 and 50
    mistakes = {
        "`alpha` has no effect: raise the sizes to that power": [size / 3000 for size in sizes],
        "the weights do not add up to 1: divide by their sum": [10.0, 20.0, 50.0],
        "the shares are raised to the power and do not add up to 1 any more: divide once, at the end": [
            (size / 3000) ** 0.5 for size in sizes
        ],
        "every voice is equally likely: that would be `alpha` = 0": [1 / 3, 1 / 3, 1 / 3],
        "the smallest voice comes out likeliest: the power has the wrong sign": [10 / 17, 5 / 17, 2 / 17],
        "this is a softmax: it is the sizes themselves that are raised to the power": [0.0, 0.0, 1.0],
    }
    diagnose(attempt(sizes, 0.5), [10 / 80, 20 / 80, 50 / 80], mistakes)
    always_root = {"this is the square root, whatever `alpha` is": [10 / 80, 20 / 80, 50 / 80]}
    diagnose(attempt(sizes, 1.0), [size / 3000 for size in sizes], always_root)
    diagnose(attempt(sizes, 0.0), [1 / 3, 1 / 3, 1 / 3], {})
    return "between 0, all alike, and 1, by size, lies what models of many languages use"


@exercise(
    chapter=CHAPTER,
    hints=(
        "What do the parts outside the blocks cost: token table, positions, last norm, head?",
        "By (9.4) they cost `(2 * vocab_size + context + 2) * width`, and each block costs "
        "`4 * width**2 + 2 * width * hidden + 9 * width + hidden`.",
        "Only whole blocks count: `//` rounds down. And there are never fewer than none: `max(0, …)`.",
    ),
)
def depth_left(attempt):
    """Return how many whole blocks a budget of parameters leaves beside a vocabulary."""
    width, hidden, context = 256, 1024, 256
    block = block_size(width, hidden)
    budget, vocab_size = 10_000_000, 8_000
    rest = budget - (2 * vocab_size + context + 2) * width
    mistakes = {
        "there are no parts of blocks: round down": rest / block,
        "a block is counted that does not fit: round down": -(-rest // block),
        "the vocabulary costs nothing here: take the token table and the head away first": (
            (budget - (context + 2) * width) // block
        ),
        "the vocabulary is paid for twice, in the token table and in the head": (rest + vocab_size * width) // block,
    }
    diagnose(attempt(budget, vocab_size, width, hidden, context), rest // block, mistakes)
    medium = {"the medium model should have room for its 4 blocks: something is counted that it does not have": 3}
    diagnose(attempt(3_322_368, 190, width, hidden, context), 4, medium)
    narrow = (2 * 100 + 64 + 2) * 96 + 3 * block_size(96, 200)
    ignored = {"`hidden` has no effect: the MLP is not always four times as wide as the model": 2}
    diagnose(attempt(narrow, 100, 96, 200, 64), 3, ignored)
    expect_equal(attempt(1000, 2000, width, hidden, context), 0, "too small a budget leaves 0 blocks, never fewer")
    return "so much depth is left beside so many characters"


def block_size(width: int, hidden: int) -> int:
    """Return the parameters of one block."""
    return 4 * width**2 + 2 * width * hidden + 9 * width + hidden
