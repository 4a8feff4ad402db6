"""Wrong answers to the exercises on rotary positions."""

import torch

from known_wrong import Wrong

# --- rotary_angles


def angles_of(place=lambda start, n: torch.arange(start, start + n), exponent=lambda D: -torch.arange(0, D, 2) / D):
    def angles(n_places, head_dim, base, start):
        return place(start, n_places).unsqueeze(1) * base ** exponent(head_dim)

    return angles


ignores_start = angles_of(place=lambda start, n: torch.arange(n))


counts_from_one = angles_of(place=lambda start, n: torch.arange(start + 1, start + n + 1))


forgets_the_two = angles_of(exponent=lambda D: -torch.arange(D // 2) / D)


divides_by_pairs = angles_of(exponent=lambda D: -torch.arange(0, D, 2) / (D // 2))


grows = angles_of(exponent=lambda D: torch.arange(0, D, 2) / D)


def in_degrees(n_places, head_dim, base, start):
    return angles_of()(n_places, head_dim, base, start).rad2deg()


def on_its_side(n_places, head_dim, base, start):
    return angles_of()(n_places, head_dim, base, start).T


def for_each_channel(n_places, head_dim, base, start):
    return angles_of()(n_places, head_dim, base, start).repeat(1, 2)


def fixed_base(n_places, head_dim, base, start):
    return angles_of()(n_places, head_dim, 50.0, start)


# --- turn_halves


def halves(combine):
    def turned(x, angles):
        return combine(*x.chunk(2, dim=-1), angles.cos(), angles.sin())

    return turned


def cat(first, second):
    return torch.cat((first, second), dim=-1)


turns_back = halves(lambda a, b, cos, sin: cat(a * cos + b * sin, b * cos - a * sin))


sine_for_cosine = halves(lambda a, b, cos, sin: cat(a * sin - b * cos, a * cos + b * sin))


reflects = halves(lambda a, b, cos, sin: cat(a * cos + b * sin, a * sin - b * cos))


two_plus_signs = halves(lambda a, b, cos, sin: cat(a * cos + b * sin, a * sin + b * cos))


turns_the_first_only = halves(lambda a, b, cos, sin: cat(a * cos - b * sin, b))


swaps_the_halves = halves(lambda a, b, cos, sin: cat(a * sin + b * cos, a * cos - b * sin))


interleaves = halves(lambda a, b, cos, sin: torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2))


def overwrites(x, angles):
    a, b = x.chunk(2, dim=-1)
    a = a * angles.cos() - b * angles.sin()
    b = a * angles.sin() + b * angles.cos()
    return cat(a, b)


def turns_neighbours(x, angles):
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


def without_heads(x, angles):
    turned = halves(lambda a, b, cos, sin: cat(a * cos - b * sin, a * sin + b * cos))(x, angles)
    return turned if x.dim() == 3 else x


# --- distance_score


def parts(q, k, distance, base):
    a, b = q.chunk(2)
    c, d = k.chunk(2)
    angles = distance * base ** (-torch.arange(0, len(q), 2) / len(q))
    return a * c + b * d, a * d - b * c, angles


def does_not_turn(q, k, distance, base):
    return q @ k


def turns_the_wrong_way(q, k, distance, base):
    along, across, angles = parts(q, k, distance, base)
    return (along * angles.cos() - across * angles.sin()).sum()


def forgets_the_sine(q, k, distance, base):
    along, _, angles = parts(q, k, distance, base)
    return (along * angles.cos()).sum()


def pairs_neighbours(q, k, distance, base):
    return turns_neighbours(q, parts(q, k, distance, base)[2]) @ k


def one_speed(q, k, distance, base):
    along, across, angles = parts(q, k, distance, base)
    return (along * angles[0].cos() + across * angles[0].sin()).sum()


def scales(q, k, distance, base):
    along, across, angles = parts(q, k, distance, base)
    return (along * angles.cos() + across * angles.sin()).sum() / len(q) ** 0.5


def does_not_sum(q, k, distance, base):
    along, across, angles = parts(q, k, distance, base)
    return along * angles.cos() + across * angles.sin()


def knows_one_base(q, k, distance, base):
    along, across, angles = parts(q, k, distance, 100.0)
    return (along * angles.cos() + across * angles.sin()).sum()


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


def answers_in_words(rotate):
    return "yes"


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


def ten_thousand_always(n_places, head_dim, base, start):
    speeds = 10_000.0 ** (-torch.arange(0, head_dim, 2) / head_dim)
    return torch.arange(start, start + n_places).unsqueeze(1) * speeds


WRONG = {
    "rotary_angles": [
        Wrong(ignores_start, says="begin at `start`"),
        Wrong(counts_from_one, says="one too high"),
        Wrong(forgets_the_two, says="the 2 is missing"),
        Wrong(divides_by_pairs, says="not the number of pairs"),
        Wrong(grows, says="must be slower"),
        Wrong(in_degrees, says="radians"),
        Wrong(on_its_side, says="on its side"),
        Wrong(for_each_channel, says="one for each pair"),
        Wrong(fixed_base, says="base 10,000"),
        Wrong(ten_thousand_always, says="the base is fixed"),
    ],
    "turn_halves": [
        Wrong(turns_back, says="the other way"),
        Wrong(turns_neighbours, says="neighbours"),
        Wrong(sine_for_cosine, says="sine and cosine"),
        Wrong(reflects, says="reflection"),
        Wrong(two_plus_signs, says="both signs are plus"),
        Wrong(turns_the_first_only, says="only the first channel"),
        Wrong(overwrites, says="the old values"),
        Wrong(swaps_the_halves, says="halves of the result"),
        Wrong(interleaves, says="interleaved"),
        Wrong(without_heads, says="a batch and heads"),
    ],
    "distance_score": [
        Wrong(does_not_turn, says="at distance 0"),
        Wrong(turns_the_wrong_way, says="sign of the distance"),
        Wrong(forgets_the_sine, says="the sine is missing"),
        Wrong(pairs_neighbours, says="neighbours"),
        Wrong(one_speed, says="each has its own"),
        Wrong(scales, says="divided by √D"),
        Wrong(does_not_sum, says="not added up"),
        Wrong(knows_one_base, says="at distance 100"),
    ],
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
        Wrong(answers_in_words, says="answer with True or False, not with a str"),
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
