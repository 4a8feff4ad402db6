"""Byte-pair encoding: which pairs of tokens to merge (Gage, 1994; Sennrich et al., 2016).

A word is a piece of text that no merge may cross, as bytes. Tokens 0 to 255 are the bytes; the i-th merge makes
token 256 + i.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

Pair = tuple[int, int]

BYTES = 256


def learn_merges(words: Mapping[bytes, int], n_merges: int) -> Iterator[Pair]:
    """Yield up to `n_merges` pairs: always the most frequent one, or of several the one with the smallest ids.

    `words` holds every distinct word with its number of occurrences. The pairs are counted once; a merge then
    changes the counts only where it happens. It ends early when every word is a single token.
    """
    pieces = [list(word) for word in words]
    weights = list(words.values())
    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for place, (ids, weight) in enumerate(zip(pieces, weights, strict=True)):
        for pair in pairs(ids):
            counts[pair] += weight
            places[pair].add(place)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)
    for new_id in range(BYTES, BYTES + n_merges):
        best = pop_best(heap, counts)
        if best is None:
            return
        yield best
        changes: Counter[Pair] = Counter()
        for place in places.pop(best):
            before, weight = pieces[place], weights[place]
            after = merge(before, best, new_id)
            pieces[place] = after
            for pair in pairs(before):
                changes[pair] -= weight
            for pair in pairs(after):
                changes[pair] += weight
                if new_id in pair:
                    places[pair].add(place)
        for pair, change in changes.items():
            if change:
                counts[pair] += change
                heappush(heap, (-counts[pair], pair))


def pop_best(heap: list[tuple[int, Pair]], counts: Mapping[Pair, int]) -> Pair | None:
    """Take the best pair from the heap, passing over entries whose count has changed since; None if none is left."""
    while heap:
        negative_count, pair = heappop(heap)
        if -negative_count == counts[pair] > 0:
            return pair
    return None


def pairs(ids: list[int]) -> Iterable[Pair]:
    """Return the neighbours in a word."""
    return zip(ids, ids[1:], strict=False)


def merge(ids: list[int], pair: Pair, new_id: int) -> list[int]:
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


def tokens_of(merges: Iterable[Pair]) -> list[bytes]:
    """Return what each token stands for, by id: first the 256 bytes, then what the merges made of them."""
    tokens = [bytes([value]) for value in range(BYTES)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


def merge_word(word: bytes, ranks: Mapping[bytes, int], below: int | None = None) -> list[bytes]:
    """Cut a word into tokens: merge the neighbours whose joint rank is the lowest, until none is left.

    With `below`, only merges of a lower rank are made, which tells what a token was made of.
    """
    pieces = [bytes([value]) for value in word]
    limit = len(ranks) if below is None else below
    while len(pieces) > 1:
        joined = [left + right for left, right in zip(pieces, pieces[1:], strict=False)]
        found = [ranks.get(piece, limit) for piece in joined]
        if min(found) >= limit:
            break
        i = found.index(min(found))
        pieces[i : i + 2] = [joined[i]]
    return pieces
