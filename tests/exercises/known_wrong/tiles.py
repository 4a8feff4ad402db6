"""Wrong answers to the exercises on the tiles of attention."""

import math

import torch

from known_wrong import Wrong

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


def again(q, k, log_total, diagonal, scale=None, end=torch.exp):
    scores = q @ k.T * (1 / math.sqrt(q.size(-1)) if scale is None else scale)
    future = torch.ones(scores.shape, dtype=torch.bool).triu(diagonal)
    return end(scores.masked_fill(future, -math.inf) - log_total)


def does_not_mask(q, k, log_total, first_row, first_column):
    return (q @ k.T / math.sqrt(q.size(-1)) - log_total).exp()


def softmax_over_the_tile(q, k, log_total, first_row, first_column):
    scores = q @ k.T / math.sqrt(q.size(-1))
    future = torch.ones(scores.shape, dtype=torch.bool).triu(first_row - first_column + 1)
    return scores.masked_fill(future, -math.inf).softmax(dim=-1)


def masks_as_if_on_the_diagonal(q, k, log_total, first_row, first_column):
    return again(q, k, log_total, 1)


def shifts_the_other_way(q, k, log_total, first_row, first_column):
    return again(q, k, log_total, first_column - first_row + 1)


def hides_its_own_place(q, k, log_total, first_row, first_column):
    return again(q, k, log_total, first_row - first_column)


def weights_without_scale(q, k, log_total, first_row, first_column):
    return again(q, k, log_total, first_row - first_column + 1, scale=1.0)


def divides_by_the_logarithm(q, k, log_total, first_row, first_column):
    scores = q @ k.T / math.sqrt(q.size(-1))
    future = torch.ones(scores.shape, dtype=torch.bool).triu(first_row - first_column + 1)
    return (scores.masked_fill(future, -math.inf) / log_total).exp()


def forgets_the_exponential(q, k, log_total, first_row, first_column):
    return again(q, k, log_total, first_row - first_column + 1, end=lambda scores: scores)


def always_masks_a_corner(q, k, log_total, first_row, first_column):
    return again(q, k, log_total, min(first_row - first_column + 1, 3))


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


WRONG = {
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
    ],
}
