"""Wrong answers to the exercises on byte-pair encoding."""

import math
from collections import Counter

from known_wrong import Wrong


def counted(words):
    counts = Counter()
    for word, number in words.items():
        for pair in zip(word, word[1:], strict=False):
            counts[pair] += number
    return counts


def counts_words_once(words):
    counts = Counter(pair for word in words for pair in zip(word, word[1:], strict=False))
    return min(counts, key=lambda pair: (-counts[pair], pair))


def rarest(words):
    counts = counted(words)
    return min(counts, key=lambda pair: (counts[pair], -pair[0]))


def wrong_way_round(words):
    counts = counted(words)
    return min(counts, key=lambda pair: (-counts[pair], pair))[::-1]


def the_count(words):
    return max(counted(words).values())


def first_of_equals(words):
    counts = counted(words)
    return max(counts, key=counts.get)


def once_a_word(words):
    counts = Counter()
    for word, number in words.items():
        for pair in set(zip(word, word[1:], strict=False)):
            counts[pair] += number
    return min(counts, key=lambda pair: (-counts[pair], pair))


def only_the_first(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if tuple(ids[i : i + 2]) == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return list(ids)


def keeps_the_right_one(ids, pair, new_id):
    return [new_id if tuple(ids[i : i + 2]) == pair else ids[i] for i in range(len(ids))]


def takes_out(ids, pair, new_id):
    return walked(ids, pair, [])


def walked(ids, pair, put):
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            out, i = out + put, i + 2
        else:
            out, i = [*out, ids[i]], i + 1
    return out


def loses_the_last(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids) - 1:
        if tuple(ids[i : i + 2]) == pair:
            out, i = [*out, new_id], i + 2
        else:
            out, i = [*out, ids[i]], i + 1
    return out


def any_order(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if sorted(ids[i : i + 2]) == sorted(pair):
            out, i = [*out, new_id], i + 2
        else:
            out, i = [*out, ids[i]], i + 1
    return out


def from_the_right(ids, pair, new_id):
    return walked(ids[::-1], pair[::-1], [new_id])[::-1]


def no_merges(word, merges):
    return list(word)


def join(pieces, pair):
    out, i = [], 0
    while i < len(pieces):
        if tuple(pieces[i : i + 2]) == tuple(pair):
            out, i = [*out, pieces[i] + pieces[i + 1]], i + 2
        else:
            out, i = [*out, pieces[i]], i + 1
    return out


def last_learnt_first(word, merges):
    pieces = list(word)
    for pair in reversed(merges):
        pieces = join(pieces, pair)
    return pieces


def single_letters_only(word, merges):
    pieces = list(word)
    for pair in merges:
        if len(pair[0]) == len(pair[1]) == 1:
            pieces = join(pieces, pair)
    return pieces


def longest_piece(word, merges):
    known = {left + right for left, right in merges}
    pieces, i = [], 0
    while i < len(word):
        sizes = [size for size in range(len(word) - i, 1, -1) if word[i : i + size] in known]
        size = sizes[0] if sizes else 1
        pieces.append(word[i : i + size])
        i += size
    return pieces


def merges_once(word, merges):
    pieces = list(word)
    for pair in merges:
        for i in range(len(pieces) - 1):
            if tuple(pieces[i : i + 2]) == pair:
                pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
                break
    return pieces


def one_by_one(ids, tokens):
    return "".join(tokens[id].decode("utf-8", "replace") for id in ids)


def left_out(ids, tokens):
    return "".join(tokens[id].decode("utf-8", "ignore") for id in ids)


def latin(ids, tokens):
    return b"".join(tokens[id] for id in ids).decode("latin-1")


def stays_bytes(ids, tokens):
    return b"".join(tokens[id] for id in ids)


def ignores_halves(ids, tokens):
    return b"".join(tokens[id] for id in ids).decode("utf-8", "ignore")


def nats(loss, n_tokens, text):
    return loss * n_tokens / len(text)


def multiplied(loss, n_tokens, text):
    return loss * n_tokens * math.log(2) / len(text)


def per_token(loss, n_tokens, text):
    return loss / math.log(2)


def per_byte(loss, n_tokens, text):
    return loss * n_tokens / math.log(2) / len(text.encode())


def upside_down(loss, n_tokens, text):
    return loss / math.log(2) * len(text) / n_tokens


def in_all(loss, n_tokens, text):
    return loss * n_tokens / math.log(2)


def across_words(words):
    counts = Counter()
    for word, number in words.items():
        for pair in zip(word * number, (word * number)[1:] if len(word) == 1 else word[1:], strict=False):
            counts[pair] += 1 if len(word) == 1 else number
    return min(counts, key=lambda pair: (-counts[pair], pair))


WRONG = {
    "most_frequent_pair": [
        Wrong(counts_words_once, says="as often as it occurs"),
        Wrong(rarest, says="the rarest pair"),
        Wrong(wrong_way_round, says="the wrong way round"),
        Wrong(the_count, says="the number of occurrences"),
        Wrong(first_of_equals, says="the smallest is asked for"),
        Wrong(once_a_word, says="counts twice"),
        Wrong(across_words, says="no pair crosses"),
    ],
    "merge_pair": [
        Wrong(only_the_first, says="only the first occurrence"),
        Wrong(keeps_the_right_one, says="the right one was kept"),
        Wrong(takes_out, says="not put in"),
        Wrong(loses_the_last, says="no right neighbour"),
        Wrong(any_order, says="the order counts"),
        Wrong(from_the_right, says="from left to right"),
    ],
    "encode_word": [
        Wrong(no_merges, says="no merge was made"),
        Wrong(last_learnt_first, says="have their order"),
        Wrong(single_letters_only, says="has to see the result"),
        Wrong(longest_piece, says="longest known piece"),
        Wrong(merges_once, says="wherever its pair stands"),
    ],
    "decode_tokens": [
        Wrong(one_by_one, says="tears characters apart"),
        Wrong(left_out, says="left out"),
        Wrong(latin, says="the bytes are UTF-8"),
        Wrong(stays_bytes, says="these are bytes"),
        Wrong(ignores_halves, says="should become"),
    ],
    "comparable_loss": [
        Wrong(nats, says="a bit is ln 2 nats"),
        Wrong(multiplied, says="multiplied by ln 2"),
        Wrong(per_token, says="bits per token"),
        Wrong(per_byte, says="bits per byte"),
        Wrong(upside_down, says="the wrong way round"),
        Wrong(in_all, says="the whole text"),
    ],
}
