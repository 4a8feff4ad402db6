"""Exercises of the chapter on byte-pair encoding: pairs, merges, encoding, bytes, and comparable losses."""

import math

from minigpt.exercises.engine import diagnose, exercise, expect, expect_type

CHAPTER = "13_bpe"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Two neighbours in a word that occurs 5 times are 5 occurrences of the pair.",
        "`zip(word, word[1:])` gives the neighbours; add the word's number to a `Counter` for each of them.",
        "`min(counts, key=lambda pair: (-counts[pair], pair))` is the most frequent pair, and of several the smallest.",
    ),
)
def most_frequent_pair(attempt):
    """Return the most frequent pair of neighbours, and of equally frequent ones the smallest."""
    words = {(3, 1, 2): 10, (1, 2, 7): 5, (4, 5): 3, (4, 5, 6): 2, (4, 5, 8): 1}
    mistakes = {
        "each word counts as often as it occurs: add its number, not 1": (4, 5),
        "this is the number of occurrences: the pair itself is asked for": 15,
        "this is the rarest pair": (5, 8),
        "the pair is the wrong way round: left, then right": (2, 1),
    }
    diagnose(attempt(words), (1, 2), mistakes)
    once = {(3, 1, 2): 1, (4, 1, 2): 3, (3, 1, 5): 1}
    first = "the pair with the highest count is asked for, here 4 times, and not the first one"
    diagnose(attempt(once), (1, 2), {first: (3, 1)})
    tie = "of equally frequent pairs the smallest is asked for, `(1, 9)` before `(2, 3)`"
    diagnose(attempt({(2, 3): 4, (1, 9): 4}), (1, 9), {tie: (2, 3)})
    twice = "a pair that stands twice in one word counts twice"
    diagnose(attempt({(1, 2, 1, 2): 2, (7, 8): 3}), (1, 2), {twice: (7, 8)})
    across = "no pair crosses from one word to the next: look at each word by itself"
    diagnose(attempt({(1,): 5, (2, 3): 1}), (2, 3), {across: (1, 1)})
    return "a fixed rule for ties makes the vocabulary the same on every machine"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Walk through the list with an index. What do you append, and how far do you move on, if the pair stands here?",
        "After a merge move on by two places, otherwise by one; mind that the last id has no right neighbour.",
        "`if ids[i : i + 2] == list(pair):` is also right at the end of the list.",
    ),
)
def merge_pair(attempt):
    """Return the ids with each occurrence of the pair, from left to right, replaced by the new id."""
    mistakes = {
        "only the first occurrence was replaced": [9, 3, 1, 2],
        "the new id stands in for the left one, and the right one was kept": [9, 2, 3, 9, 2],
        "the pair was taken out, and the new id not put in": [3],
        "nothing was replaced": [1, 2, 3, 1, 2],
        "the last ids are missing: when the pair does not stand at the end, the last id has to be kept": [9, 3],
    }
    diagnose(attempt([1, 2, 3, 1, 2], (1, 2), 9), [9, 3, 9], mistakes)
    lost = "the last id has no right neighbour, and was lost"
    diagnose(attempt([1, 2, 3], (1, 2), 9), [9, 3], {lost: [9]})
    order = "the order counts: `(1, 2)` is not `(2, 1)`"
    diagnose(attempt([2, 1, 2, 2], (1, 2), 9), [2, 9, 2], {order: [9, 2, 2]})
    mistakes = {
        "after a merge its two ids are used up: the second one cannot be merged again": [9, 9],
        "the merges run from left to right: of three equal ids the first two are merged": [1, 9],
    }
    diagnose(attempt([1, 1, 1], (1, 1), 9), [9, 1], mistakes)
    diagnose(attempt([], (1, 1), 9), [], {})
    return "this one function does all the work, in training and in encoding"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Begin with the single characters of the word. The list of merges says what comes first.",
        "Take the merges one after the other; each goes through the whole word before the next has its turn.",
        "For one merge: walk through the pieces from left to right and join those two neighbours that are the pair.",
    ),
)
def encode_word(attempt):
    """Cut a word into pieces by the merges, in the order in which they were learnt."""
    merges = [("a", "b"), ("b", "c"), ("ab", "c"), ("c", "d"), ("abc", "d")]
    mistakes = {
        "these are the single characters: no merge was made": ["a", "b", "c", "e"],
        "each merge has to see the result of the ones before it": ["ab", "c", "e"],
        "`bc` was merged before `ab`: the merges have their order, and `ab` was learnt first": ["a", "bc", "e"],
    }
    diagnose(attempt("abce", merges), ["abc", "e"], mistakes)
    longest = "this takes the longest known piece from the left: it is the order of the merges that decides"
    ordered = [("b", "c"), ("a", "b")]
    diagnose(attempt("abc", ordered), ["a", "bc"], {longest: ["ab", "c"]})
    once = "a merge is made wherever its pair stands, not only once"
    diagnose(attempt("abxab", merges), ["ab", "x", "ab"], {once: ["ab", "x", "a", "b"]})
    diagnose(attempt("xyz", merges), ["x", "y", "z"], {})
    diagnose(attempt("aaa", [("a", "a")]), ["aa", "a"], {"from left to right: the first two are merged": ["a", "aa"]})
    return "this is how a text of today is cut by what was frequent in the text of then"


@exercise(
    chapter=CHAPTER,
    hints=(
        "A token is a piece of a text's bytes. Need it hold whole characters?",
        "First put all bytes together, with `b''.join`, and decode them once.",
        "A model may stop in the middle of a character: `decode('utf-8', 'replace')` writes � then.",
    ),
)
def decode_tokens(attempt):
    """Turn ids back into a text, with � where the bytes are no UTF-8."""
    tokens = [b"caf", b"\xc3", b"\xa9", b" \xf0\x9f", b"\x99\x82", b"!"]
    mistakes = {
        "each token was decoded by itself, which tears characters apart: join the bytes first": "caf��!",
        "what could not be decoded was left out: it was half a character each time": "caf!",
        "each byte became a character of its own: the bytes are UTF-8": "cafÃ©!",
        "these are bytes: decode them to a text": b"caf\xc3\xa9!",
    }
    diagnose(attempt([0, 1, 2, 5], tokens), "café!", mistakes)
    diagnose(attempt([0, 3, 4, 5], tokens), "caf 🙂!", {})
    half = "half a character was left out: it should become �, so that something is seen to be missing"
    diagnose(attempt([0, 1, 5], tokens), "caf�!", {half: "caf!"})
    diagnose(attempt([], tokens), "", {})
    return "and so no row of ids can stop the decoder"


@exercise(
    chapter=CHAPTER,
    hints=(
        "The loss is a mean over tokens. What is the sum over all of them?",
        "The sum in nats, divided by ln 2, is the sum in bits; spread it over the characters.",
        "`loss * n_tokens / math.log(2) / len(text)`.",
    ),
)
def comparable_loss(attempt):
    """Turn a mean loss in nats per token into bits per character of the text."""
    text = "déjà vu, again and again"
    loss, n_tokens, n_characters = 3.0, 8, len(text)
    right = loss * n_tokens / math.log(2) / n_characters
    mistakes = {
        "these are nats: a bit is ln 2 nats": loss * n_tokens / n_characters,
        "multiplied by ln 2: divide, since there are more bits than nats": loss * n_tokens * math.log(2) / n_characters,
        "these are bits per token: spread them over the characters": loss / math.log(2),
        "the wrong way round: tokens are fewer than characters, so each character costs less than a token": loss
        / math.log(2)
        * n_characters
        / n_tokens,
        "these are bits per byte: `é` and `à` are one character each": loss
        * n_tokens
        / math.log(2)
        / len(text.encode()),
        "these are the bits of the whole text: divide by its characters": loss * n_tokens / math.log(2),
    }
    found = attempt(loss, n_tokens, text)
    expect_type(found, (int, float), "one number is asked for")
    diagnose(found, right, mistakes)
    expect(attempt(0.0, 5, "abc") == 0, "a perfect model needs no bits at all")
    return "with this, models on characters and models on subwords meet on one scale"
