"""Exercises of the chapter on characters: ids, vocabularies, the split, targets and windows."""

import torch

from minigpt.exercises.engine import diagnose, exercise, expect, expect_shape

CHAPTER = "01_characters"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Begin with a text that has no unknown characters: which id does each character get?",
        "Build the table once, `{character: id for id, character in enumerate(vocabulary)}`, and look up in it.",
        "A dictionary's `get(character, fallback)` gives the fallback for a character that is not in it.",
    ),
)
def encode_with_unknown(attempt):
    """Turn a text into ids, with the id of `unknown` for every character outside the vocabulary."""
    vocabulary = ["!", "?", "a", "b", "c"]
    mistakes = {
        "the ids are one too high: count from 0": [5, 3, 4, 3],
        "these are Unicode code points: look the characters up in the vocabulary instead": [99, 97, 98, 97],
        "these are the characters: return their places in the vocabulary": ["c", "a", "b", "a"],
        "a repeated character needs its id each time it appears": [4, 2, 3],
    }
    diagnose(attempt("caba", vocabulary, "?"), [4, 2, 3, 2], mistakes)
    mistakes = {
        "an unknown character was left out: the id of `unknown` stands in its place": [2, 3],
        "an unknown character got the id 0: it needs the place of `unknown` in the vocabulary": [2, 0, 3, 0],
        "an unknown character got the last id: it needs the place of `unknown` in the vocabulary": [2, 4, 3, 4],
        "an unknown character got an id beyond the vocabulary: use the place of `unknown` in it": [2, 5, 3, 5],
        "an unknown character got -1, which is no id: use the place of `unknown` in the vocabulary": [2, -1, 3, -1],
        "an unknown character became the text `unknown`: its id is asked for": [2, "?", 3, "?"],
    }
    diagnose(attempt("azb\n", vocabulary, "?"), [2, 1, 3, 1], mistakes)
    mistakes = {
        "these are places in a sorted vocabulary: here it is not sorted, and its own order counts": [1, 2, 0, 3, 3],
        "`A` and `a` are two characters: leave the letters of the text as they are": [3, 0, 3, 2, 2],
        "the id of `unknown` is fixed in your code: look up where it stands in the vocabulary": [3, 0, 1, 1, 1],
    }
    diagnose(attempt("abA?z", ["b", "A", "~", "a"], "~"), [3, 0, 1, 2, 2], mistakes)
    diagnose(attempt("", vocabulary, "?"), [], {})
    return "no text can stop this encoder, but not every text comes back from it"


@exercise(
    chapter=CHAPTER,
    hints=(
        "One place is taken by `unknown`. How many are left, and which characters deserve them?",
        "`Counter(text)` counts; leave `unknown` out before you rank, since it has its place already.",
        "`sorted(counts, key=lambda c: (-counts[c], c))` ranks by frequency, and equals by code point.",
    ),
)
def vocabulary_with_unknown(attempt):
    """Return the sorted vocabulary of `size` characters: `unknown`, and the most frequent others."""
    mistakes = {
        "it has one character too many: `unknown` counts among the `size`": "?bcd",
        "`unknown` is missing": "bcd",
        "these are the first characters of the alphabet: choose the most frequent ones": "?ab",
        "these are the characters that come first in the text: choose the most frequent ones": "?ad",
        "the right characters, but not sorted by code point": "?db",
        "these are the rarest characters: choose the most frequent ones": "?ac",
        "this is a list: join the characters to one string": ["?", "b", "d"],
    }
    diagnose(attempt("addddbbbcc", 3, "?"), "?bd", mistakes)
    tie = "b and c are equally frequent and only one fits: the one with the lower code point stays"
    diagnose(attempt("ccaaabb", 3, "?"), "?ab", {tie: "?ac"})
    taken = "`unknown` occurs in the text here, and took a second place from another character"
    diagnose(attempt("??????aab", 3, "?"), "?ab", {taken: "?a"})
    mistakes = {
        "`unknown` stands in front: it is sorted in among the others": "cbd",
        "`unknown` stands at the end: it is sorted in among the others": "bdc",
    }
    diagnose(attempt("bbbdddda", 3, "c"), "bcd", mistakes)
    return "with this and one rare character for all others, any text fits a table of fixed size"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Find the border first: how many ids are held out, and how many are left?",
        "`n = round(len(ids) * share)` ids are held out, so the border is at `len(ids) - n`.",
        "`ids[:border]` and `ids[border:]` are the two parts. With a border counted from the end, `n = 0` needs care.",
    ),
)
def hold_out_end(attempt):
    """Split ids into training and validation, the validation split holding the last share."""
    ids = torch.tensor([5, 3, 8, 1, 9, 2, 7, 4, 6, 0])
    parts = attempt(ids, 0.3)
    expect(isinstance(parts, (tuple, list)) and len(parts) == 2, "two tensors are asked for: training, then validation")
    train, validation = parts
    swapped = "the two parts are swapped: training comes first"
    expect(not (torch.equal(train, ids[7:]) and torch.equal(validation, ids[:7])), swapped)
    mistakes = {
        "the beginning is held out: the validation split is the end of the text": ids[:3],
        "the share went to training: it is the share that is held out": ids[3:],
        "the ids were shuffled or sorted: a text keeps its order": ids[7:].sort().values,
    }
    expect(sorted([*train.tolist(), *validation.tolist()]) == list(range(10)), "every id belongs to exactly one part")
    diagnose(validation, ids[7:], mistakes)
    diagnose(train, ids[:7], {})
    _, validation = attempt(torch.arange(13), 0.2)
    rounding = "2.6 ids are rounded to the nearest whole number, 3, and not cut off"
    diagnose(validation, torch.tensor([10, 11, 12]), {rounding: torch.tensor([11, 12])})
    train, validation = attempt(torch.arange(4), 0.1)
    empty = "0.4 ids are rounded to 0: then all ids are for training (mind that `ids[:-0]` is empty)"
    expect(len(train) == 4 and len(validation) == 0, empty)
    return "one border, and nothing crosses it"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write the pairs for the window `[7, 1, 4]` on paper: there are two.",
        "For each place t from 0 to T - 1 the context goes up to and including t; the target comes right after.",
        "`window[: t + 1]` is the context and `window[t + 1]` the target.",
    ),
)
def contexts_and_targets(attempt):
    """Return the T pairs of a context and the id that follows it."""
    window = [7, 1, 4, 9]
    mistakes = {
        "the last pair is missing: a window of T + 1 ids holds T pairs": [([7], 1), ([7, 1], 4)],
        "each target stands in its own context: the target is the id after the context": [
            ([7], 7),
            ([7, 1], 1),
            ([7, 1, 4], 4),
        ],
        "the first context is empty: it should hold the first id": [([], 7), ([7], 1), ([7, 1], 4), ([7, 1, 4], 9)],
        "a context is everything from the beginning of the window, not only the last id": [
            ([7], 1),
            ([1], 4),
            ([4], 9),
        ],
        "each pair is the wrong way round: the context first, then the target": [
            (1, [7]),
            (4, [7, 1]),
            (9, [7, 1, 4]),
        ],
        "the targets are lists: each is a single id": [([7], [1]), ([7, 1], [4]), ([7, 1, 4], [9])],
    }
    pairs = attempt(window)
    expect(isinstance(pairs, (list, tuple)), "a list of pairs is asked for")
    diagnose(pairs, [([7], 1), ([7, 1], 4), ([7, 1, 4], 9)], mistakes)
    expect(len(attempt([3, 5])) == 1, "a window of two ids holds one pair")
    return "a transformer answers all of these in one pass"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Draw B starts, add the T steps to each by broadcasting, and look up.",
        "`torch.randint(n, (batch_size, 1), generator=generator)` draws from 0 to n - 1. What is n by (1.5)?",
        "`places = starts + torch.arange(block_size)` has shape (B, T); the targets stand at `places + 1`.",
    ),
)
def random_windows(attempt):
    """Return windows at random places, and the same windows one token later."""
    ids = torch.arange(100, 108)  # N = 8, and with T = 5 the allowed starts are 0, 1 and 2
    x, y = attempt(ids, 200, 5, torch.Generator().manual_seed(0))
    expect_shape(x, (200, 5))
    expect_shape(y, (200, 5))
    expect(not torch.equal(x, y), "inputs and targets are the same: the targets are one token later")
    expect(not torch.equal(y, x - 1), "the targets are one token earlier: they should be one later")
    steps = (x - x[:, :1]) == torch.arange(5)
    expect(bool(steps.all()), "a row is no window: its tokens should follow one another in the text")
    expect(torch.equal(y, x + 1), "the targets are not the inputs one token later")
    expect(len(x[:, 0].unique()) > 1, "all windows start at the same place: draw a start for each row")
    expect(100 in x[:, 0], "the first place of the text never starts a window")
    expect(102 in x[:, 0], "the last allowed start, N - T - 1, is never drawn")
    again, _ = attempt(ids, 200, 5, torch.Generator().manual_seed(0))
    expect(torch.equal(x, again), "the same seed gave other windows: pass `generator` on to `torch.randint`")
    other, _ = attempt(ids, 200, 5, torch.Generator().manual_seed(1))
    expect(not torch.equal(x, other), "another seed gave the same windows: all chance must come from `generator`")
    spread, _ = attempt(torch.arange(1000), 50, 5, torch.Generator().manual_seed(0))
    steps = spread[:, 0].diff().unique()
    expect(len(steps) > 2, "the windows follow one another through the text: draw a start for each row")
    return "`minigpt.get_batch` draws the same windows"
