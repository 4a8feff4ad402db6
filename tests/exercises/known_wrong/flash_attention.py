"""Wrong answers to the exercises on a softmax in pieces and on tiles."""

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


# --- tiles_computed


def up(number, tile):
    return -(-number // tile)


def counts_all(n_query, n_key, tile):
    return up(n_query, tile) * up(n_key, tile)


def leaves_out_the_diagonal(n_query, n_key, tile):
    return sum(up(n_key - n_query + start, tile) for start in range(0, n_query, tile))


def takes_half(n_query, n_key, tile):
    return counts_all(n_query, n_key, tile) // 2


def rounds_down(n_query, n_key, tile):
    n = n_query // tile
    return n * (n + 1) // 2


def queries_at_the_beginning(n_query, n_key, tile):
    n = up(n_query, tile)
    return n * (n + 1) // 2


def as_if_every_key_had_a_query(n_query, n_key, tile):
    n = up(n_key, tile)
    return n * (n + 1) // 2


def gives_a_float(n_query, n_key, tile):
    stops = (min(start + tile, n_query) for start in range(0, n_query, tile))
    return float(sum(up(n_key - n_query + stop, tile) for stop in stops))


def never_cuts_the_last_row(n_query, n_key, tile):
    stops = range(tile, n_query + tile, tile)
    return sum(up(n_key - n_query + stop, tile) for stop in stops)


# --- weights_again


def again(q, k, lse, diagonal, scale=None, end=torch.exp):
    scores = q @ k.T * (1 / math.sqrt(q.size(-1)) if scale is None else scale)
    future = torch.ones(scores.shape, dtype=torch.bool).triu(diagonal)
    return end(scores.masked_fill(future, -math.inf) - lse)


def does_not_mask(q, k, lse, first_row, first_column):
    return (q @ k.T / math.sqrt(q.size(-1)) - lse).exp()


def softmax_over_the_tile(q, k, lse, first_row, first_column):
    scores = q @ k.T / math.sqrt(q.size(-1))
    future = torch.ones(scores.shape, dtype=torch.bool).triu(first_row - first_column + 1)
    return scores.masked_fill(future, -math.inf).softmax(dim=-1)


def masks_as_if_on_the_diagonal(q, k, lse, first_row, first_column):
    return again(q, k, lse, 1)


def shifts_the_other_way(q, k, lse, first_row, first_column):
    return again(q, k, lse, first_column - first_row + 1)


def hides_its_own_place(q, k, lse, first_row, first_column):
    return again(q, k, lse, first_row - first_column)


def weights_without_scale(q, k, lse, first_row, first_column):
    return again(q, k, lse, first_row - first_column + 1, scale=1.0)


def divides_by_the_logarithm(q, k, lse, first_row, first_column):
    scores = q @ k.T / math.sqrt(q.size(-1))
    future = torch.ones(scores.shape, dtype=torch.bool).triu(first_row - first_column + 1)
    return (scores.masked_fill(future, -math.inf) / lse).exp()


def forgets_the_exponential(q, k, lse, first_row, first_column):
    return again(q, k, lse, first_row - first_column + 1, end=lambda scores: scores)


def always_masks_a_corner(q, k, lse, first_row, first_column):
    return again(q, k, lse, min(first_row - first_column + 1, 3))


# --- score_gradient


def delta(y, dy):
    return (dy * y).sum(dim=-1, keepdim=True)


def gradient_of_the_weights(weights, v, y, dy):
    return dy @ v.T


def forgets_delta(weights, v, y, dy):
    return weights * (dy @ v.T)


def delta_of_the_tile(weights, v, y, dy):
    dw = dy @ v.T
    return weights * (dw - (weights * dw).sum(dim=-1, keepdim=True))


def adds_delta(weights, v, y, dy):
    return weights * (dy @ v.T + delta(y, dy))


def subtracts_too_late(weights, v, y, dy):
    return weights * (dy @ v.T) - delta(y, dy)


def leaves_out_the_weights(weights, v, y, dy):
    return dy @ v.T - delta(y, dy)


def one_delta_for_all_rows(weights, v, y, dy):
    return weights * (dy @ v.T - (dy * y).sum())


def delta_as_a_mean(weights, v, y, dy):
    return weights * (dy @ v.T - (dy * y).mean(dim=-1, keepdim=True))


def holds_everything(query, pieces):
    keys, values = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    return (keys @ query / len(query) ** 0.5).softmax(0) @ values


def divides_exponentials(q, k, lse, first_row, first_column):
    rows, columns = torch.arange(len(q)).unsqueeze(1) + first_row, torch.arange(len(k)) + first_column
    scores = (q @ k.T / q.size(-1) ** 0.5).masked_fill(columns > rows, -math.inf)
    return scores.exp() / lse.exp()


def with_the_scale(weights, v, y, dy):
    return weights * (dy @ v.T - (dy * y).sum(-1, keepdim=True)) / v.size(-1) ** 0.5


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
        Wrong(holds_everything, says="held at the same time"),
    ],
    "tiles_computed": [
        Wrong(counts_all, says="all tiles are counted"),
        Wrong(leaves_out_the_diagonal, says="on the diagonal are missing"),
        Wrong(takes_half, says="half of all tiles"),
        Wrong(rounds_down, says="cut short, is missing"),
        Wrong(queries_at_the_beginning, says="stand at the end"),
        Wrong(as_if_every_key_had_a_query, says="as if every key had a query"),
        Wrong(gives_a_float, says="an integer"),
        Wrong(never_cuts_the_last_row, says="cut short sees less far"),
    ],
    "weights_again": [
        Wrong(does_not_mask, says="not masked"),
        Wrong(softmax_over_the_tile, says="softmax over the tile"),
        Wrong(masks_as_if_on_the_diagonal, says="does not know where the tile stands"),
        Wrong(shifts_the_other_way, says="shifted the wrong way"),
        Wrong(hides_its_own_place, says="its own place"),
        Wrong(weights_without_scale, says="the scale is missing"),
        Wrong(divides_by_the_logarithm, says="divided by L"),
        Wrong(forgets_the_exponential, says="the exponential is missing"),
        Wrong(always_masks_a_corner, says="needs no mask"),
        Wrong(divides_exponentials, says="subtract L before"),
    ],
    "score_gradient": [
        Wrong(gradient_of_the_weights, says="the softmax is missing"),
        Wrong(forgets_delta, says="δ is missing"),
        Wrong(delta_of_the_tile, says="over this tile alone"),
        Wrong(adds_delta, says="δ is added"),
        Wrong(subtracts_too_late, says="after multiplying"),
        Wrong(leaves_out_the_weights, says="not multiplied by the weights"),
        Wrong(one_delta_for_all_rows, says="a δ of its own"),
        Wrong(delta_as_a_mean, says="a mean over the channels"),
        Wrong(with_the_scale, says="the scale's 1/√D"),
    ],
}
