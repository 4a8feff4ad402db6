"""Wrong answers to the exercises on loss curves."""

import math
import statistics

from known_wrong import Wrong


def forgets_the_room(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if not low <= loss <= high]


def narrows_the_band(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if not low + room <= loss <= high - room]


def looks_above_only(losses, lowest, highest, room):
    return [place for place, (loss, high) in enumerate(zip(losses, highest, strict=True)) if loss > high + room]


def looks_below_only(losses, lowest, highest, room):
    return [place for place, (loss, low) in enumerate(zip(losses, lowest, strict=True)) if loss < low - room]


def counts_from_one(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True), start=1)
    return [place for place, (loss, low, high) in places if not low - room <= loss <= high + room]


def returns_the_losses(losses, lowest, highest, room):
    triples = zip(losses, lowest, highest, strict=True)
    return [loss for loss, low, high in triples if not low - room <= loss <= high + room]


def returns_the_inside(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if low - room <= loss <= high + room]


def returns_truth_values(losses, lowest, highest, room):
    triples = zip(losses, lowest, highest, strict=True)
    return [not low - room <= loss <= high + room for loss, low, high in triples]


def leaves_out_the_edge(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if not low - room < loss < high + room]


def overlooks_nan(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if loss < low - room or loss > high + room]


def spread(losses):
    return statistics.stdev(later - earlier for earlier, later in zip(losses, losses[1:], strict=False))


def turns_it_over(losses, references, batch_size):
    return batch_size * (spread(losses) / spread(references)) ** 2


def forgets_the_square(losses, references, batch_size):
    return batch_size * spread(references) / spread(losses)


def takes_the_root(losses, references, batch_size):
    return batch_size * math.sqrt(spread(references) / spread(losses))


def counts_the_trend(losses, references, batch_size):
    return batch_size * (statistics.stdev(references) / statistics.stdev(losses)) ** 2


def returns_the_ratio(losses, references, batch_size):
    return (spread(references) / spread(losses)) ** 2


WRONG = {
    "outside_band": [
        Wrong(forgets_the_room, says="the room around the band is left out"),
        Wrong(narrows_the_band, says="makes the band narrower"),
        Wrong(looks_above_only, says="only places above"),
        Wrong(looks_below_only, says="only places below"),
        Wrong(counts_from_one, says="count from 0"),
        Wrong(returns_the_losses, says="these are the losses"),
        Wrong(returns_the_inside, says="the places inside the band"),
        Wrong(returns_truth_values, says="give the numbers of the places"),
        Wrong(leaves_out_the_edge, says="exactly on the edge"),
        Wrong(overlooks_nan, says="a loss that is nan"),
    ],
    "estimate_batch_size": [
        Wrong(turns_it_over, says="upside down"),
        Wrong(forgets_the_square, says="the square is missing"),
        Wrong(takes_the_root, says="the root is taken"),
        Wrong(counts_the_trend, says="the trend counts"),
        Wrong(returns_the_ratio, says="the ratio of the batch sizes"),
    ],
}
