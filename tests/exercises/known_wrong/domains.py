"""Wrong answers to the exercises on more domains."""

import math
from collections import Counter

from known_wrong import Wrong


def ranked(text):
    counts = Counter(text)
    return sorted(counts, key=lambda character: (-counts[character], character))


def keeps_one_too_many(text, vocab_size, unknown):
    return "".join(sorted({*ranked(text)[:vocab_size], unknown}))


def forgets_unknown(text, vocab_size, unknown):
    return "".join(sorted(ranked(text)[: vocab_size - 1]))


def gives_the_place_of_unknown_away(text, vocab_size, unknown):
    return "".join(sorted(ranked(text)[:vocab_size]))


def takes_the_first_of_the_alphabet(text, vocab_size, unknown):
    return "".join(sorted({*sorted(set(text))[: vocab_size - 1], unknown}))


def keeps_the_rarest(text, vocab_size, unknown):
    counts = Counter(text)
    rarest = sorted(counts, key=lambda character: (counts[character], character))
    return "".join(sorted({*rarest[: vocab_size - 1], unknown}))


def does_not_sort(text, vocab_size, unknown):
    return "".join(ranked(text)[: vocab_size - 1]) + unknown


def breaks_ties_by_first_occurrence(text, vocab_size, unknown):
    kept = [character for character, _ in Counter(text).most_common(vocab_size - 1)]
    return "".join(sorted({*kept, unknown}))


def counts_unknown_twice(text, vocab_size, unknown):
    return "".join(sorted({*ranked(text)[: vocab_size - 1], unknown}))


def returns_a_list(text, vocab_size, unknown):
    return sorted({*ranked(text)[: vocab_size - 1], unknown})


def splits_the_whole(voices):
    whole = "".join(voices.values())
    border = len(whole) - len(whole) // 10
    return whole[:border], whole[border:]


def holds_out_the_beginning(voices):
    return (
        "".join(text[len(text) // 10 :] for text in voices.values()),
        "".join(text[: len(text) // 10] for text in voices.values()),
    )


def split_right(voices):
    borders = {name: len(text) - len(text) // 10 for name, text in voices.items()}
    return (
        "".join(text[: borders[name]] for name, text in voices.items()),
        "".join(text[borders[name] :] for name, text in voices.items()),
    )


def turns_them_round(voices):
    return split_right(voices)[::-1]


def trains_on_everything(voices):
    return "".join(voices.values()), split_right(voices)[1]


def rounds_up(voices):
    borders = {name: int(len(text) * 0.9) for name, text in voices.items()}
    return (
        "".join(text[: borders[name]] for name, text in voices.items()),
        "".join(text[borders[name] :] for name, text in voices.items()),
    )


def sorts_the_voices(voices):
    return split_right(dict(sorted(voices.items())))


def counts_from_the_end(voices):
    return (
        "".join(text[: -(len(text) // 10)] for text in voices.values()),
        "".join(text[-(len(text) // 10) :] for text in voices.values()),
    )


def total(parts):
    return sum(loss * n for loss, n in parts)


def characters(parts):
    return sum(n for _, n in parts)


def mean_of_means(parts):
    return sum(loss for loss, _ in parts) / len(parts) / math.log(2)


def stays_in_nats(parts):
    return total(parts) / characters(parts)


def plain_mean_in_nats(parts):
    return sum(loss for loss, _ in parts) / len(parts)


def multiplies_by_ln_2(parts):
    return total(parts) / characters(parts) * math.log(2)


def never_divides(parts):
    return total(parts) / math.log(2)


def divides_by_the_voices(parts):
    return total(parts) / len(parts) / math.log(2)


def averages_perplexities(parts):
    return math.log2(sum(math.exp(loss) * n for loss, n in parts) / characters(parts))


def ignores_alpha(sizes, alpha):
    return [size / sum(sizes) for size in sizes]


def does_not_normalise(sizes, alpha):
    return [size**alpha for size in sizes]


def normalises_too_early(sizes, alpha):
    return [(size / sum(sizes)) ** alpha for size in sizes]


def all_alike(sizes, alpha):
    return [1 / len(sizes)] * len(sizes)


def negative_power(sizes, alpha):
    weights = [size**-alpha for size in sizes]
    return [weight / sum(weights) for weight in weights]


def softmax_of_sizes(sizes, alpha):
    largest = max(sizes)
    weights = [math.exp(alpha * (size - largest)) for size in sizes]
    return [weight / sum(weights) for weight in weights]


def always_the_root(sizes, alpha):
    weights = [size**0.5 for size in sizes]
    return [weight / sum(weights) for weight in weights]


def block(width, hidden):
    return 4 * width**2 + 2 * width * hidden + 9 * width + hidden


def parts_of_blocks(budget, vocab_size, width, hidden, context):
    return (budget - (2 * vocab_size + context + 2) * width) / block(width, hidden)


def rounds_blocks_up(budget, vocab_size, width, hidden, context):
    return math.ceil(parts_of_blocks(budget, vocab_size, width, hidden, context))


def forgets_the_vocabulary(budget, vocab_size, width, hidden, context):
    return (budget - (context + 2) * width) // block(width, hidden)


def adds_a_bias_to_the_head(budget, vocab_size, width, hidden, context):
    rest = budget - (2 * vocab_size + context + 2) * width - vocab_size
    return max(0, rest // block(width, hidden))


def ties_the_head(budget, vocab_size, width, hidden, context):
    return max(0, (budget - (vocab_size + context + 2) * width) // block(width, hidden))


def four_times_as_wide(budget, vocab_size, width, hidden, context):
    return max(0, (budget - (2 * vocab_size + context + 2) * width) // block(width, 4 * width))


def fewer_than_none(budget, vocab_size, width, hidden, context):
    return (budget - (2 * vocab_size + context + 2) * width) // block(width, hidden)


WRONG = {
    "frequent_vocabulary": [
        Wrong(keeps_one_too_many, says="one character too many"),
        Wrong(forgets_unknown, says="`unknown` is missing from the vocabulary"),
        Wrong(gives_the_place_of_unknown_away, says="another character has its place"),
        Wrong(takes_the_first_of_the_alphabet, says="choose by frequency"),
        Wrong(keeps_the_rarest, says="the rarest characters"),
        Wrong(does_not_sort, says="not sorted by code point"),
        Wrong(breaks_ties_by_first_occurrence, says="equally frequent"),
        Wrong(counts_unknown_twice, says="takes two places"),
        Wrong(returns_a_list, says="of type list"),
    ],
    "split_voices": [
        Wrong(splits_the_whole, says="all voices together"),
        Wrong(holds_out_the_beginning, says="hold out the last"),
        Wrong(turns_them_round, says="the wrong way round"),
        Wrong(trains_on_everything, says="still holds what is held out"),
        Wrong(rounds_up, says="rounded up"),
        Wrong(sorts_the_voices, says="another order"),
        Wrong(counts_from_the_end, says="no tenth to hold out"),
    ],
    "overall_bits": [
        Wrong(mean_of_means, says="however short it is"),
        Wrong(stays_in_nats, says="this is in nats: divide"),
        Wrong(plain_mean_in_nats, says="in nats, and every voice"),
        Wrong(multiplies_by_ln_2, says="multiplied by ln 2"),
        Wrong(never_divides, says="the sum over all characters"),
        Wrong(divides_by_the_voices, says="the number of voices"),
        Wrong(averages_perplexities, says="perplexities are averaged"),
    ],
    "mixture_weights": [
        Wrong(ignores_alpha, says="`alpha` has no effect"),
        Wrong(does_not_normalise, says="do not add up to 1: divide"),
        Wrong(normalises_too_early, says="divide once, at the end"),
        Wrong(all_alike, says="equally likely"),
        Wrong(negative_power, says="the wrong sign"),
        Wrong(softmax_of_sizes, says="softmax"),
        Wrong(always_the_root, says="whatever `alpha` is"),
    ],
    "depth_left": [
        Wrong(parts_of_blocks, says="no parts of blocks"),
        Wrong(rounds_blocks_up, says="does not fit"),
        Wrong(forgets_the_vocabulary, says="costs nothing here"),
        Wrong(adds_a_bias_to_the_head, says="its 4 blocks"),
        Wrong(ties_the_head, says="paid for twice"),
        Wrong(four_times_as_wide, says="`hidden` has no effect"),
        Wrong(fewer_than_none, says="never fewer"),
    ],
}
