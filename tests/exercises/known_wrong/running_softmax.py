"""Wrong answers to the exercises on a softmax in pieces."""

import math

import torch

from known_wrong import Wrong

# --- merge_states


def references(first, second):
    highest = torch.maximum(first[0], second[0])
    return highest, (first[0] - highest).exp(), (second[0] - highest).exp()


def adds_references(first, second):
    _, up1, up2 = references(first, second)
    return first[0] + second[0], first[1] * up1 + second[1] * up2, first[2] * up1 + second[2] * up2


def keeps_first_reference(first, second):
    up = (second[0] - first[0]).exp()
    return first[0], first[1] + second[1] * up, first[2] + second[2] * up


def keeps_second_reference(first, second):
    up = (first[0] - second[0]).exp()
    return second[0], first[1] * up + second[1], first[2] * up + second[2]


def one_maximum_for_all_rows(first, second):
    highest = torch.maximum(first[0], second[0]).amax().expand_as(first[0])
    up1, up2 = (first[0] - highest).exp(), (second[0] - highest).exp()
    return highest, first[1] * up1 + second[1] * up2, first[2] * up1 + second[2] * up2


def never_shrinks(first, second):
    return torch.maximum(first[0], second[0]), first[1] + second[1], first[2] + second[2]


def shrinks_first_only(first, second):
    highest, up1, _ = references(first, second)
    return highest, first[1] * up1 + second[1], first[2] * up1 + second[2]


def shrinks_second_only(first, second):
    highest, _, up2 = references(first, second)
    return highest, first[1] + second[1] * up2, first[2] + second[2] * up2


def wrong_sign(first, second):
    highest, up1, up2 = references(first, second)
    return highest, first[1] / up1 + second[1] / up2, first[2] / up1 + second[2] / up2


def exchanges_the_factors(first, second):
    highest, up1, up2 = references(first, second)
    return highest, first[1] * up2 + second[1] * up1, first[2] * up2 + second[2] * up1


def shrinks_totals_only(first, second):
    highest, up1, up2 = references(first, second)
    return highest, first[1] * up1 + second[1] * up2, first[2] + second[2]


def merged(first, second):
    highest, up1, up2 = references(first, second)
    return highest, first[1] * up1 + second[1] * up2, first[2] * up1 + second[2] * up2


def divides_already(first, second):
    highest, total, mixed = merged(first, second)
    return highest, total, mixed / total


def adds_the_averages(first, second):
    highest, total, _ = merged(first, second)
    return highest, total, first[2] / first[1] + second[2] / second[1]


def returns_two(first, second):
    return merged(first, second)[1:]


def goes_through_the_exponential(first, second):
    big1, big2 = first[0].exp(), second[0].exp()
    total, mixed = first[1] * big1 + second[1] * big2, first[2] * big1 + second[2] * big2
    highest = torch.maximum(first[0], second[0])
    return highest, total / highest.exp(), mixed / highest.exp()


def ratio_of_the_references(first, second):
    highest, _, _ = references(first, second)
    lower = torch.minimum(first[0], second[0])
    shrink = (lower - highest).exp()
    first_is_higher = first[0] >= second[0]
    up1, up2 = torch.where(first_is_higher, 1.0, shrink), torch.where(first_is_higher, shrink, 1.0)
    total = first[1] * up1 + second[1] * up2 + 0 * lower  # 0 · (−∞) is not a number
    return highest, total, first[2] * up1 + second[2] * up2


# --- attend_in_pieces


def in_pieces(query, pieces, scale=None, shrinks=True, start=-math.inf, divides=True):
    scale = 1 / math.sqrt(len(query)) if scale is None else scale
    highest, total, mixed = torch.tensor(start), torch.tensor(0.0), 0.0
    for keys, values in pieces:
        scores = keys @ query * scale
        higher = torch.maximum(highest, scores.max())
        shrink = (highest - higher).exp() if shrinks else 1.0
        weights = (scores - higher).exp()
        total, mixed = total * shrink + weights.sum(), mixed * shrink + weights @ values
        highest = higher
    return mixed / total if divides else mixed


def without_scale(query, pieces):
    return in_pieces(query, pieces, scale=1.0)


def divides_by_the_width(query, pieces):
    return in_pieces(query, pieces, scale=1 / len(query))


def averages_of_pieces(query, pieces):
    scale = 1 / math.sqrt(len(query))
    return [(keys @ query * scale).softmax(dim=0) @ values for keys, values in pieces]


def averages_the_averages(query, pieces):
    return torch.stack(averages_of_pieces(query, pieces)).mean(dim=0)


def adds_the_pieces_averages(query, pieces):
    return torch.stack(averages_of_pieces(query, pieces)).sum(dim=0)


def keeps_the_last_piece(query, pieces):
    return averages_of_pieces(query, pieces)[-1]


def forgets_to_shrink(query, pieces):
    return in_pieces(query, pieces, shrinks=False)


def forgets_to_divide(query, pieces):
    return in_pieces(query, pieces, divides=False)


def plain_average(query, pieces):
    return torch.cat([values for _, values in pieces]).mean(dim=0)


def overflows(query, pieces):
    total, mixed = 0.0, 0.0
    for keys, values in pieces:
        e = (keys @ query / math.sqrt(len(query))).exp()
        total, mixed = total + e.sum(), mixed + e @ values
    return mixed / total


def begins_at_zero(query, pieces):
    return in_pieces(query, pieces, start=0.0)


WRONG = {
    "merge_states": [
        Wrong(adds_references, says="the references are added"),
        Wrong(keeps_first_reference, says="the first half's reference"),
        Wrong(keeps_second_reference, says="the second half's reference"),
        Wrong(one_maximum_for_all_rows, says="over all rows"),
        Wrong(never_shrinks, says="added as they are"),
        Wrong(shrinks_first_only, says="only the first half is shrunk"),
        Wrong(shrinks_second_only, says="only the second half is shrunk"),
        Wrong(wrong_sign, says="wrong sign"),
        Wrong(exchanges_the_factors, says="exchanged"),
        Wrong(shrinks_totals_only, says="the values' sums"),
        Wrong(divides_already, says="divided already"),
        Wrong(adds_the_averages, says="two averages"),
        Wrong(returns_two, says="not 2"),
        Wrong(goes_through_the_exponential, says="overflows"),
        Wrong(ratio_of_the_references, says="must change nothing"),
    ],
    "attend_in_pieces": [
        Wrong(without_scale, says="the scale is missing"),
        Wrong(divides_by_the_width, says="not by its root"),
        Wrong(averages_the_averages, says="averages the pieces' averages"),
        Wrong(adds_the_pieces_averages, says="adds the pieces' averages up"),
        Wrong(keeps_the_last_piece, says="only the last piece"),
        Wrong(forgets_to_shrink, says="not shrunk"),
        Wrong(forgets_to_divide, says="not divided by the total"),
        Wrong(plain_average, says="plain average"),
        Wrong(overflows, says="overflow"),
        Wrong(begins_at_zero, says="begins at −∞"),
    ],
}
