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
    return angles_of()(n_places, head_dim, 100.0, start)


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
}
