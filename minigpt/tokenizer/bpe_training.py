"""Byte-pair encoding: which pairs of tokens to merge (Gage, 1994; Sennrich et al., 2016).

A word is a piece of text that no merge may cross, as bytes. Tokens 0 to 255 are the bytes; the i-th merge makes
token 256 + i.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

from minigpt.utils.errors import UserError

Pair = tuple[int, int]


BYTES = 256


def train_bpe(words: Mapping[bytes, int], n_merges: int) -> Iterator[Pair]:
    """Yield up to `n_merges` pairs: always the most frequent one, or of several the one with the smallest ids.

    `words` holds every distinct word with its number of occurrences. The pairs are counted once; a merge then
    changes the counts only where it happens. It ends early when every word is a single token.
    """
    pieces = [list(word) for word in words]
    weights = list(words.values())
    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for place, (ids, weight) in enumerate(zip(pieces, weights, strict=True)):
        for pair in _pairs(ids):
            counts[pair] += weight
            places[pair].add(place)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)
    for new_id in range(BYTES, BYTES + n_merges):
        best = _pop_best(heap, counts)
        if best is None:
            return
        yield best
        changes: Counter[Pair] = Counter()
        for place in places.pop(best):
            before, weight = pieces[place], weights[place]
            after = _merge(before, best, new_id)
            pieces[place] = after
            for pair in _pairs(before):
                changes[pair] -= weight
            for pair in _pairs(after):
                changes[pair] += weight
                if new_id in pair:
                    places[pair].add(place)
        for pair, change in changes.items():
            if change:
                counts[pair] += change
                heappush(heap, (-counts[pair], pair))


def _pop_best(heap: list[tuple[int, Pair]], counts: Mapping[Pair, int]) -> Pair | None:
    """Take the best pair from the heap, passing over entries whose count has changed since; None if none is left."""
    while heap:
        negative_count, pair = heappop(heap)
        if -negative_count == counts[pair] > 0:
            return pair
    return None


def _pairs(ids: list[int]) -> Iterable[Pair]:
    """Return the neighbours in a word."""
    return zip(ids, ids[1:], strict=False)


def _merge(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Return the ids with each occurrence of a pair replaced, from left to right."""
    merged = []
    i = 0
    while i < len(ids):
        if ids[i] == pair[0] and i + 1 < len(ids) and ids[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def vocab_from_merges(merges: Iterable[Pair]) -> list[bytes]:
    """Return what each token stands for, by id: first the 256 bytes, then what the merges made of them."""
    tokens = [bytes([value]) for value in range(BYTES)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


def apply_merges(word: bytes, ranks: Mapping[bytes, int], below: int | None = None) -> list[bytes]:
    """Cut a word into tokens: merge the neighbours whose joint rank is the lowest, until none is left.

    With `below`, only merges of a lower rank are made, which tells what a token was made of.
    """
    pieces = [bytes([value]) for value in word]
    limit = sys.maxsize if below is None else below
    while len(pieces) > 1:
        joined = [left + right for left, right in zip(pieces, pieces[1:], strict=False)]
        found = [ranks.get(piece, limit) for piece in joined]
        if min(found) >= limit:
            break
        i = found.index(min(found))
        pieces[i : i + 2] = [joined[i]]
    return pieces


_SEPARATOR = chr(BYTES)  # a byte is written as the character of the same number, so this one is free


_CHUNK_LENGTH = 100_000


def train_bpe_fast(words: Mapping[bytes, int], n_merges: int) -> list[Pair]:
    """Return the same pairs as `minigpt.tokenizer.bpe_training.train_bpe`, many times faster.

    Raises:
        UserError: the package `tokenizers` is not installed, or too old.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ModuleNotFoundError:
        raise UserError("Fast training needs the package tokenizers; pip install tokenizers, or do without.") from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(_SEPARATOR, behavior="removed")
    trainer = trainers.BpeTrainer(
        vocab_size=BYTES + n_merges,
        min_frequency=1,
        initial_alphabet=[chr(value) for value in range(BYTES)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(words), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if model["merges"] and isinstance(model["merges"][0], str):
        raise UserError("Fast training needs tokenizers 0.20 or newer; pip install --upgrade tokenizers.")
    id_of = model["vocab"]
    return [(id_of[left], id_of[right]) for left, right in model["merges"]]


def _texts(words: Mapping[bytes, int]) -> Iterator[str]:
    """Write every word as often as it occurs, in texts of bounded length."""
    for word, count in words.items():
        written = word.decode("latin-1") + _SEPARATOR
        at_once = max(1, _CHUNK_LENGTH // len(written))
        for done in range(0, count, at_once):
            yield written * min(at_once, count - done)
