"""Wrong answers to the exercises on characters."""

from collections import Counter

import torch

from known_wrong import Wrong


def counts_from_one(text, vocabulary, unknown):
    return [vocabulary.index(character) + 1 for character in text]


def uses_code_points(text, vocabulary, unknown):
    return [ord(character) for character in text]


def drops_repeats(text, vocabulary, unknown):
    return [vocabulary.index(character) for character in dict.fromkeys(text)]


def leaves_unknown_out(text, vocabulary, unknown):
    return [vocabulary.index(character) for character in text if character in vocabulary]


def unknown_is_zero(text, vocabulary, unknown):
    return [vocabulary.index(character) if character in vocabulary else 0 for character in text]


def unknown_is_new(text, vocabulary, unknown):
    return [vocabulary.index(character) if character in vocabulary else len(vocabulary) for character in text]


def unknown_is_minus_one(text, vocabulary, unknown):
    return ["".join(vocabulary).find(character) for character in text]


def ranked(text):
    counts = Counter(text)
    return sorted(counts, key=lambda character: (-counts[character], character))


def one_too_many(text, size, unknown):
    return "".join(sorted([unknown, *ranked(text)[:size]]))


def forgets_unknown(text, size, unknown):
    return "".join(sorted(ranked(text)[:size]))


def takes_the_alphabet(text, size, unknown):
    return "".join(sorted([unknown, *sorted(set(text))[: size - 1]]))


def takes_the_first_met(text, size, unknown):
    return "".join(sorted([unknown, *list(dict.fromkeys(text))[: size - 1]]))


def does_not_sort(text, size, unknown):
    return "".join([unknown, *ranked(text)[: size - 1]])


def breaks_ties_by_appearance(text, size, unknown):
    return "".join(sorted([unknown, *(c for c, _ in Counter(text).most_common(size - 1))]))


def counts_unknown_twice(text, size, unknown):
    return "".join(sorted({unknown, *ranked(text)[: size - 1]}))


def holds_out_the_beginning(ids, share):
    n = round(len(ids) * share)
    return ids[n:], ids[:n]


def swaps(ids, share):
    border = len(ids) - round(len(ids) * share)
    return ids[border:], ids[:border]


def trains_on_the_share(ids, share):
    n = round(len(ids) * share)
    return ids[:n], ids[n:]


def cuts_off(ids, share):
    border = len(ids) - int(len(ids) * share)
    return ids[:border], ids[border:]


def slices_from_the_end(ids, share):
    n = round(len(ids) * share)
    return ids[:-n], ids[-n:]


def overlaps(ids, share):
    n = round(len(ids) * share)
    return ids, ids[len(ids) - n :]


def misses_the_last_pair(window):
    return [(window[: t + 1], window[t + 1]) for t in range(len(window) - 2)]


def target_in_context(window):
    return [(window[: t + 1], window[t]) for t in range(len(window) - 1)]


def starts_empty(window):
    return [(window[:t], window[t]) for t in range(len(window))]


def only_the_last(window):
    return [([window[t]], window[t + 1]) for t in range(len(window) - 1)]


def wrong_way_round(window):
    return [(window[t + 1], window[: t + 1]) for t in range(len(window) - 1)]


def windows_from(ids, block_size, starts, shift=1):
    places = starts + torch.arange(block_size)
    return ids[places], ids[places + shift]


def forgets_the_shift(ids, batch_size, block_size, generator):
    starts = torch.randint(len(ids) - block_size, (batch_size, 1), generator=generator)
    return windows_from(ids, block_size, starts, shift=0)


def runs_past_the_end(ids, batch_size, block_size, generator):
    starts = torch.randint(len(ids) - block_size + 1, (batch_size, 1), generator=generator)
    return windows_from(ids, block_size, starts)


def misses_the_last_start(ids, batch_size, block_size, generator):
    starts = torch.randint(len(ids) - block_size - 1, (batch_size, 1), generator=generator)
    return windows_from(ids, block_size, starts)


def ignores_the_generator(ids, batch_size, block_size, generator):
    return windows_from(ids, block_size, torch.randint(len(ids) - block_size, (batch_size, 1)))


def one_start_for_all(ids, batch_size, block_size, generator):
    start = torch.randint(len(ids) - block_size, (1, 1), generator=generator)
    return windows_from(ids, block_size, start.expand(batch_size, 1))


def draws_single_tokens(ids, batch_size, block_size, generator):
    places = torch.randint(len(ids) - block_size, (batch_size, block_size), generator=generator)
    return ids[places], ids[places + 1]


def sorts_the_vocabulary(text, vocabulary, unknown):
    order = sorted(vocabulary)
    return [order.index(character if character in order else unknown) for character in text]


def in_small_letters(text, vocabulary, unknown):
    return [vocabulary.index(one if one in vocabulary else unknown) for one in text.lower()]


def knows_the_unknown(text, vocabulary, unknown):
    return [vocabulary.index(one) if one in vocabulary else 1 for one in text]


def most_frequent(text, size, unknown):
    counts = Counter(text)
    counts.pop(unknown, None)
    return sorted(sorted(counts, key=lambda one: (-counts[one], one))[: size - 1])


def unknown_in_front(text, size, unknown):
    return unknown + "".join(most_frequent(text, size, unknown))


def own_generator(ids, batch_size, block_size, generator):
    starts = torch.randint(len(ids) - block_size, (batch_size, 1), generator=torch.Generator().manual_seed(0))
    places = starts + torch.arange(block_size)
    return ids[places], ids[places + 1]


def consecutive_starts(ids, batch_size, block_size, generator):
    n = len(ids) - block_size
    first = torch.randint(n, (1, 1), generator=generator)
    places = (first + torch.arange(batch_size).unsqueeze(1)) % n + torch.arange(block_size)
    return ids[places], ids[places + 1]


WRONG = {
    "encode_with_unknown": [
        Wrong(counts_from_one, says="count from 0"),
        Wrong(uses_code_points, says="Unicode code points"),
        Wrong(drops_repeats, says="a repeated character"),
        Wrong(leaves_unknown_out, says="was left out"),
        Wrong(unknown_is_zero, says="got the id 0"),
        Wrong(unknown_is_new, says="beyond the vocabulary"),
        Wrong(unknown_is_minus_one, says="got -1"),
        Wrong(sorts_the_vocabulary, says="a sorted vocabulary"),
        Wrong(in_small_letters, says="are two characters"),
        Wrong(knows_the_unknown, says="fixed in your code"),
    ],
    "vocabulary_with_unknown": [
        Wrong(one_too_many, says="one character too many"),
        Wrong(forgets_unknown, says="`unknown` is missing"),
        Wrong(takes_the_alphabet, says="first characters of the alphabet"),
        Wrong(takes_the_first_met, says="come first in the text"),
        Wrong(does_not_sort, says="not sorted by code point"),
        Wrong(breaks_ties_by_appearance, says="equally frequent"),
        Wrong(counts_unknown_twice, says="took a second place"),
        Wrong(unknown_in_front, says="stands in front"),
    ],
    "hold_out_end": [
        Wrong(holds_out_the_beginning, says="the beginning is held out"),
        Wrong(swaps, says="swapped"),
        Wrong(trains_on_the_share, says="the share went to training"),
        Wrong(cuts_off, says="nearest whole number"),
        Wrong(slices_from_the_end, says="`ids[:-0]` is empty"),
        Wrong(overlaps, says="exactly one part"),
    ],
    "contexts_and_targets": [
        Wrong(misses_the_last_pair, says="the last pair is missing"),
        Wrong(target_in_context, says="in its own context"),
        Wrong(starts_empty, says="the first context is empty"),
        Wrong(only_the_last, says="not only the last id"),
        Wrong(wrong_way_round, says="wrong way round"),
    ],
    "random_windows": [
        Wrong(forgets_the_shift, says="inputs and targets are the same"),
        Wrong(runs_past_the_end, says="out of bounds"),
        Wrong(misses_the_last_start, says="the last allowed start"),
        Wrong(ignores_the_generator, says="pass `generator` on"),
        Wrong(one_start_for_all, says="start at the same place"),
        Wrong(draws_single_tokens, says="a row is no window"),
        Wrong(own_generator, says="another seed gave the same"),
        Wrong(consecutive_starts, says="follow one another"),
    ],
}
