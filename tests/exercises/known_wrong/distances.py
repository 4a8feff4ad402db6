"""Wrong answers to the exercises on what depends on distance alone, on layouts and on longer texts."""

import torch

from known_wrong import Wrong

# --- to_half_split


def as_it_was(weight, n_head):
    return weight.clone()


def mixes_heads(weight, n_head):
    return torch.cat((weight[0::2], weight[1::2]))


def goes_back(weight, n_head):
    return weight.unflatten(0, (n_head, 2, -1)).transpose(1, 2).flatten(0, 2)


def sorted_rows(weight, n_head):
    return weight.unflatten(0, (n_head, -1, 2)).transpose(1, 2).flatten(0, 2)


def sorts_columns(weight, n_head):
    return sorted_rows(weight.T, n_head).T


def odd_first(weight, n_head):
    return weight.unflatten(0, (n_head, -1, 2)).flip(2).transpose(1, 2).flatten(0, 2)


def turns_the_matrix(weight, n_head):
    return sorted_rows(weight, n_head).T


def always_two_heads(weight, n_head):
    return sorted_rows(weight, 2)


# --- only_distance_counts


def scores(rotate, q, k, start):
    return rotate(q, start) @ rotate(k, start).T


def vectors(n=32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 8, generator=generator), torch.randn(n, 8, generator=generator)


def trusts_everything(rotate):
    return True


def trusts_nothing(rotate):
    return False


def compares_vectors(rotate):
    q, _ = vectors()
    return torch.allclose(rotate(q, 0), rotate(q, 7), atol=1e-3)


def leaves_no_room_for_rounding(rotate):
    q, k = vectors()
    return torch.equal(scores(rotate, q, k, 0), scores(rotate, q, k, 1000))


def shifts_by_sixteen(rotate):
    q, k = vectors(16)
    return torch.allclose(scores(rotate, q, k, 0), scores(rotate, q, k, 1600), atol=1e-3)


def stays_near(rotate):
    q, k = vectors()
    return torch.allclose(scores(rotate, q, k, 0), scores(rotate, q, k, 7), atol=1e-3)


def looks_at_the_same_place(rotate):
    q, k = vectors(200)
    return torch.allclose(scores(rotate, q, k, 0).diagonal(), scores(rotate, q, k, 7).diagonal(), atol=1e-3)


def answers_with_a_tensor(rotate):
    return torch.tensor(True)


# --- stretched_base


def multiplies(base, head_dim, stretch):
    return base * stretch


def upside_down(base, head_dim, stretch):
    return base * stretch ** ((head_dim - 2) / head_dim)


def counts_one_pair_more(base, head_dim, stretch):
    return base * stretch ** (head_dim / (head_dim - 1))


def makes_it_smaller(base, head_dim, stretch):
    return base * stretch ** (-head_dim / (head_dim - 2))


def divides(base, head_dim, stretch):
    return base / stretch


def raises_both(base, head_dim, stretch):
    return (base * stretch) ** (head_dim / (head_dim - 2))


def gives_the_speed(base, head_dim, stretch):
    return (base * stretch ** (head_dim / (head_dim - 2))) ** (-(head_dim - 2) / head_dim)


def knows_32_channels_only(base, head_dim, stretch):
    return base * stretch ** (32 / 30)


WRONG = {
    "to_half_split": [
        Wrong(as_it_was, says="nothing has changed"),
        Wrong(mixes_heads, says="within each head"),
        Wrong(goes_back, says="the way back"),
        Wrong(sorts_columns, says="the columns"),
        Wrong(odd_first, says="the odd rows"),
        Wrong(turns_the_matrix, says="on its side"),
        Wrong(always_two_heads, says="with 1 heads"),
    ],
    "only_distance_counts": [
        Wrong(trusts_everything, says="True for a table of random vectors"),
        Wrong(trusts_nothing, says="False for no positions at all"),
        Wrong(compares_vectors, says="False for a sign that changes"),
        Wrong(leaves_no_room_for_rounding, says="False for rotary positions"),
        Wrong(shifts_by_sixteen, says="True for turns that start again"),
        Wrong(stays_near, says="True for places rounded"),
        Wrong(looks_at_the_same_place, says="True for angles that grow"),
        Wrong(answers_with_a_tensor, says="True or False"),
    ],
    "stretched_base": [
        Wrong(multiplies, says="a little too fast"),
        Wrong(upside_down, says="upside down"),
        Wrong(counts_one_pair_more, says="D/2 − 1"),
        Wrong(makes_it_smaller, says="all pairs faster"),
        Wrong(divides, says="divides the base"),
        Wrong(raises_both, says="only the stretch"),
        Wrong(gives_the_speed, says="not the base"),
        Wrong(knows_32_channels_only, says="the slowest pair is off"),
    ],
}
