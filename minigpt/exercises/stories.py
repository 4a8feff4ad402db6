"""Exercises of the chapter on stories and plays: floors, copies, recitals, and what a recipe's numbers mean."""

import math

from minigpt.exercises.engine import diagnose, exercise, expect, expect_equal, expect_type

CHAPTER = "19_stories_and_plays"


@exercise(
    chapter=CHAPTER,
    hints=(
        "(19.3) gives the floor for one window. You are asked for the first window whose floor is below the target.",
        "Try T = 1, 2, 3, … and stop at the first that fits. A text of N tokens has N − T windows.",
        "`math.log` is the natural logarithm, and both the entropy and the target are in nats: nothing has to be converted.",
    ),
)
def shortest_window(attempt):
    """Return the smallest T for which (19.3) lies below the target, an integer."""
    n_tokens, first, target = 5000, 4.0, 0.31
    mistakes = {
        "one short: for this window the floor is still above the target": 14,
        "what the first token says is given away free: subtract its entropy": 28,
        "this takes logarithms to the base 2, but the entropy and the target are in nats": 27,
        "the entropy of the first token is added: it is known, so it has to be subtracted": 41,
        "the answer is a whole number of tokens: round up": (math.log(5000) - 4) / 0.31,
    }
    found = attempt(n_tokens, first, target)
    diagnose(found, 15, mistakes, atol=1e-4, rtol=0)
    expect_type(found, int, "the number is right, but it should be an integer")
    expect(attempt(338_025, 6.316, 0.1) == 65, "with Tiny Shakespeare's numbers and a target of 0.1 it should be 65")
    expect(attempt(5000, 4.0, 5.0) == 1, "a target above every floor is in reach with a window of 1")
    return "with windows of fewer than 65 tokens, nobody can bring Tiny Shakespeare's training loss below 0.1"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Make a list of `False`, one for each place of the sample, and set to `True` what lies in a copied stretch.",
        "Every stretch of exactly n characters that stands in the source marks its n places. Longer ones are made of those.",
        "`sample[start : start + n] in source`, for every start at which n characters fit.",
        "The share is the number of marked places divided by the length of the sample; a place counts once, however often it is marked.",
    ),
)
def copied_share(attempt):
    """Return the share of the sample's places that lie in a stretch of n or more characters that the source holds."""
    sample, source = "abcdXbcdeYbcd", "abcde"
    mistakes = {
        "this is the share of n-grams that are found: ask of each place whether it lies in a copied stretch": 5 / 11,
        "this counts where copied stretches begin: all of their places are copied": 5 / 13,
        "places are counted more than once where stretches overlap": 17 / 13,
        "each n-gram that is found counts n, however much they overlap": 15 / 13,
        "stretches of exactly n belong to it too": 8 / 13,
        "only the longest stretch is counted: there may be several": 4 / 13,
        "this is divided by the length of the source: it is a share of the sample": 11 / 5,
        "this is a number of places: divide by the length of the sample": 11,
    }
    diagnose(attempt(sample, source, 3), 11 / 13, mistakes)
    for text in ("abc", "xyz"):
        expected = 1.0 if text == "abc" else 0.0
        sentence = f"for the sample {text!r} and the source {source!r}, with n = 3, it should be {expected:g}"
        expect(attempt(text, source, 3) == expected, sentence)
    expect(attempt("ab", source, 3) == 0, "a sample shorter than n has no stretch of n, and its share is 0")
    return "the share that minigpt.evaluation.memorization finds"


@exercise(
    chapter=CHAPTER,
    hints=(
        "A place is good if n_prompt + length tokens still fit from there on: `range(len(ids) - n_prompt - length + 1)`.",
        "At each place, start a list with the n_prompt tokens, then append `next_token(list)` again and again, `length` times.",
        "It is recited if *all* of the new tokens are those that follow in `ids`.",
    ),
)
def recites(attempt):
    """Return from which share of all places the model, given n_prompt tokens there, goes on word for word."""
    ids = [1, 2, 3, 4, 5, 1, 2, 3, 9, 1]

    def next_token(context):
        """Someone who looks at two tokens only, and who remembers the first of two ways on from 2, 3."""
        if len(context) > 4:
            return 0
        ways = {(1, 2): 3, (2, 3): 4, (3, 4): 5, (4, 5): 1, (5, 1): 2, (3, 9): 5}
        return ways.get(tuple(context[-2:]), 0)

    found = attempt(next_token, ids, 2, 2)
    mistakes = {
        "this is the share of single tokens that are right: a place counts if all of them are": 11 / 14,
        "the prompt is the n_prompt tokens before the place, not everything before it": 2 / 7,
        "the last place is left out": 5 / 6,
        "this divides by the number of tokens, but only from 7 places is there room to go on": 5 / 10,
        "what the model says has to be appended, so that the next answer builds on it": 0 / 7,
        "one right token is not enough: all of them have to be right": 6 / 7,
        "this is a number of places: divide by how many there are": 5,
    }
    diagnose(found, 5 / 7, mistakes)
    expect_equal(
        attempt(lambda context: context[-1] + 1, [1, 2, 3, 4, 5, 6], 1, 3),
        1.0,
        "someone who counts on recites the numbers from 1 to 6 from every place",
    )
    return (
        "feeding it the true tokens in place of its own would give the same share: up to the first mistake they agree"
    )


@exercise(
    chapter=CHAPTER,
    hints=(
        "Before there are `width` losses there is no mean of the last `width`: begin there.",
        "At step s, counted from 1, the last `width` losses are `losses[s - width : s]`.",
        "Return the first s whose mean is below the target, and 0 if there is none.",
    ),
)
def settled_step(attempt):
    """Return the first step, counted from 1, at which the mean of the last `width` losses is below the target, or 0."""
    sixteenths = [7, 14, 2, 8, 5, 1, 2, 3, 3, 4, 3, 1, 1, 1, 1]
    losses = [count / 16 for count in sixteenths]  # whose sums are exact, in whatever order they are added
    # four at a time, in sixteenths, they add up to 31, 29, 16, 16 and 11, where steps 4, 5, 6, 7 and 8 end
    found = attempt(losses, 1 / 4, 4)
    mistakes = {
        "a single lucky loss stops it: ask for the mean of the last `width`": 3,
        "steps are counted from 1, not from 0": 7,
        "this is where the stretch of losses begins, not where it ends": 4,
        "the mean is *at most* the target there, not below it": 6,
        "all of the last `width` losses are below the target there: only their mean has to be": 9,
        "the mean runs over all losses so far: take the last `width`": 14,
    }
    diagnose(found, 8, mistakes, atol=0, rtol=0)
    early = attempt([0.1, 0.2, 0.9, 0.9, 0.1, 0.1, 0.1], 0.3, 3)
    diagnose(
        early,
        7,
        {"after one or two steps there are no `width` losses to average yet: wait for them": 1},
        atol=0,
        rtol=0,
    )
    expect(attempt(losses, 0.01, 4) == 0, "a target that is never reached should give 0")
    expect(attempt([0.2, 0.1], 0.5, 3) == 0, "two losses have no mean of three: 0 is the answer")
    return "with a width of 1 it is the rule that ended the published run"


@exercise(
    chapter=CHAPTER,
    hints=(
        "A step sees windows × pieces × block_size tokens, since the pieces of a batch make one step together.",
        "A pass is as many steps as it takes to see all tokens: divide and round up, `-(-tokens // per_step)` or math.ceil.",
        "In a linear warmup, step s has the share s / warmup_steps of the full rate, and never more than 1.",
    ),
)
def one_pass(attempt):
    """Return the steps of one pass through the text, and the largest share of the learning rate reached in it."""
    sizes = {"tokens": 100_000, "windows": 4, "pieces": 8, "block_size": 50, "warmup_steps": 250}
    steps = 63  # 100,000 / 1,600 = 62.5
    mistakes = {
        "the pieces of a batch make one step together, so a step sees `pieces` times as many tokens": (500, 1.0),
        "the last step of a pass is a step too, though there is less text for it: round up": (62, 62 / 250),
        "steps are whole: round up": (62.5, 0.25),
        "a window has `block_size` tokens: this counts windows as if they were tokens": (3125, 1.0),
        "the share is how far the warmup has come, not how much of it is left": (steps, 1 - steps / 250),
        "the share is turned over: the steps taken stand above, those of the warmup below": (steps, 250 / steps),
        "this is how many steps the warmup still has: the second number is a share of the rate": (steps, 250 - steps),
    }
    answer = attempt(**sizes)
    expect_type(answer, tuple, "two numbers are asked for: the steps of a pass, and the share of the rate")
    expect(len(answer) == 2, "two numbers are asked for: the steps of a pass, and the share of the rate")
    diagnose(
        tuple(map(float, answer)),
        (float(steps), steps / 250),
        {sentence: tuple(map(float, wrong)) for sentence, wrong in mistakes.items()},
    )
    full = attempt(**(sizes | {"warmup_steps": 20}))[1]
    expect(full == 1, f"after the warmup the rate stays at its full height: the share is 1, not {full:g}")
    return "for the recipe of the stories it gives 900 steps, and a warmup that is not over"
