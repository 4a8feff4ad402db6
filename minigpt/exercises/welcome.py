"""Exercises of the chapter Welcome: scores, probabilities, and the loop that writes."""

import torch

from minigpt.exercises.engine import diagnose, exercise, expect

CHAPTER = "00_welcome"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Two steps: find *where* the highest logit stands, then look up the character at that place.",
        "`logits.argmax()` gives the place of the largest number in a tensor.",
        "A string takes an index as a list does: `characters[2]` is its third character.",
    ),
)
def likeliest_character(attempt):
    """Return the one character whose logit is the highest."""
    logits = torch.tensor([-1.0, 0.5, -2.0, 2.5, 1.0])
    answers = [attempt(logits, "abcde") for _ in range(30)]
    same_each_time = all(str(answer) == str(answers[0]) for answer in answers)
    expect(same_each_time, "the answer differs from call to call: take the likeliest character, do not draw one")
    mistakes = {
        "this is the place of the character, its id: look up the character at that place": 3,
        "this is the highest logit itself: find its place, then the character there": 2.5,
        "this character has the lowest logit, and the highest is asked for": "c",
        "this character is the last one, whatever its logit": "e",
    }
    diagnose(answers[0], "d", mistakes)
    mistakes = {"this logit is the largest in size only, for it is negative: take no absolute values": "x"}
    diagnose(attempt(torch.tensor([-4.0, 1.0, -2.0]), "xyz"), "y", mistakes)
    return "this is greedy choice; Chapter 8 shows what becomes of a text that is written with it"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Equation (0.1) has two steps: the exponential of every logit, then division by the sum of these.",
        "`logits.exp()` works on all logits at once, and `weights / weights.sum()` divides each by their sum.",
        "Against the overflow: `logits - logits.max()` has 0 as its largest value, and its exponentials are at most 1.",
    ),
)
def probabilities_from_logits(attempt):
    """Turn logits into probabilities with the softmax formula, without overflow."""
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    powers = 2**logits
    mistakes = {
        "these are the exponentials, but their sum is not 1 yet: divide by it": logits.exp(),
        "a probability cannot be negative: take exponentials of the logits before you divide": logits / 2,
        "these do not add up to 1, for each logit was squashed on its own (a sigmoid)": logits.sigmoid(),
        "the basis of the powers is 2, but the formula has e: use `exp`": powers / powers.sum(),
        "the order is reversed: the highest logit should have the highest probability": (-logits).softmax(dim=-1),
        "these are the logarithms of the probabilities": logits.log_softmax(dim=-1),
    }
    diagnose(attempt(logits), logits.softmax(dim=-1), mistakes)
    large = torch.tensor([1000.0, 999.0, 0.0])
    overflow = "with a logit of 1000 the exponential overflows: subtract the largest logit from all of them first"
    answer = attempt(large)
    expect(bool(torch.as_tensor(answer).isfinite().all()), overflow)
    mistakes = {"logits of 1000 and 999 come out equal: subtract, do not cut off": torch.tensor([0.5, 0.5, 0.0])}
    diagnose(answer, large.softmax(dim=-1), mistakes)
    answer = attempt(torch.tensor([-1000.0, -1001.0]))
    vanished = "with logits near -1000 all exponentials become 0: subtract the largest logit, whatever it is"
    expect(bool(torch.as_tensor(answer).isfinite().all()), vanished)
    diagnose(answer, torch.tensor([1.0, 0.0]).softmax(dim=-1), {})
    return "this is torch.softmax, and it survives logits of any size"


def next_logits(ids):
    """A little model whose favourite depends on the last two ids."""
    favourite = (sum(list(ids)[-2:]) + 1) % 7
    return -(torch.arange(7.0) - favourite).abs()


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three lines inside a loop: predict, choose, append.",
        "Work on a copy: `ids = list(ids)` makes a new list, which you may then extend.",
        "In each round ask `next_logits(ids)` with the list *as it is now*; append the answer's `.argmax().item()`.",
    ),
)
def continue_greedily(attempt):
    """Continue a list of ids by the likeliest next id, again and again, and return the whole list."""
    mistakes = {
        "only the new ids are here: return the given ones, too, in front": [4, 0, 5],
        "each new id comes from the given ids alone: call `next_logits` with the list as it has grown": [1, 2, 4, 4, 4],
        "one id is missing: `steps` new ones are asked for": [1, 2, 4, 0],
        "there is one id too many: exactly `steps` new ones are asked for": [1, 2, 4, 0, 5, 6],
        "`next_logits` was given the last id only: it needs the whole list": [1, 2, 3, 4, 5],
        "the new ids stand in front: append them at the end": [4, 4, 4, 1, 2],
        "for each new id an old one was dropped: the list should grow": [0, 5],
        "the id with the lowest logit was chosen": [1, 2, 0, 0, 6],
    }
    diagnose(attempt(next_logits, [1, 2], 3), [1, 2, 4, 0, 5], mistakes)
    diagnose(attempt(next_logits, [3], 0), [3], {"with `steps` = 0 nothing is added": [3, 4]})
    return "predict, choose, append: this loop writes every text in this book"
