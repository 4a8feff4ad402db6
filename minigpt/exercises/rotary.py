"""Exercises of the chapter on rotary positions: angles, turns, and the score at a distance."""

import torch
from torch import Tensor

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect_close, random_tensor

CHAPTER = "20_rope"


def speeds(head_dim: int, base: float) -> Tensor:
    """Return how far each pair turns from one place to the next, (D/2,)."""
    return base ** (-torch.arange(0, head_dim, 2) / head_dim)


def angles_at(start: int, n_places: int, head_dim: int, base: float = 10_000.0) -> Tensor:
    """Return the angles of all pairs at places that follow one another, (T, D/2)."""
    return torch.arange(start, start + n_places).unsqueeze(1) * speeds(head_dim, base)


def turn(x: Tensor, angles: Tensor) -> Tensor:
    """Turn the pairs (d, d + D/2) by these angles: (..., T, D) and (T, D/2) -> (..., T, D)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), dim=-1)


def turn_neighbours(x: Tensor, angles: Tensor) -> Tensor:
    """Turn the pairs (2d, 2d + 1) by these angles: (..., T, D) and (T, D/2) -> (..., T, D)."""
    a, b = x[..., 0::2], x[..., 1::2]
    turned = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    return torch.stack(turned, dim=-1).flatten(-2)


@exercise(
    chapter=CHAPTER,
    hints=(
        "First the speeds of the D/2 pairs, by (20.5): the exponents are 0, 2, 4, … divided by D.",
        "The places are `start`, `start + 1`, …: so many as `n_places` says.",
        "An angle is place times speed. A column of places, (T, 1), times a row of speeds, (D/2,), gives the table.",
    ),
)
def rotary_angles(attempt):
    """Return the angle of every pair at every place, (T, D/2), in radians."""
    sizes = {"n_places": 3, "head_dim": 6, "base": 100.0, "start": 5}
    right = angles_at(5, 3, 6, 100.0)
    place = torch.arange(5.0, 8.0).unsqueeze(1)  # (T, 1)
    pair = torch.arange(3)
    mistakes = {
        "the places begin at `start`, not at 0": right - 5 * speeds(6, 100.0),
        "the first place is `start` itself: the places are one too high": right + speeds(6, 100.0),
        "the exponent is 2d/D with d = 0, 1, 2, …; the 2 is missing": place * 100.0 ** (-pair / 6),
        "the exponent is 2d/D, and D is the width of the head, not the number of pairs": place
        * 100.0 ** (-2 * pair / 3),
        "the later pairs must be slower: the exponent is negative": place * 100.0 ** (2 * pair / 6),
        "these are degrees: leave the angles in radians": right.rad2deg(),
        "these are the speeds, before they were multiplied by the places": speeds(6, 100.0),
        "this lies on its side: a row belongs to a place": right.T,
        "each angle stands here twice, once for each channel: one for each pair is asked for": torch.cat(
            (right, right), 1
        ),
    }
    diagnose(attempt(**sizes), right, mistakes)
    larger = attempt(n_places=4, head_dim=8, base=10_000.0, start=0)
    expect_close(larger, angles_at(0, 4, 8), "with base 10,000 and eight channels the angles come out wrong")
    return "the package's tables are the cosines and sines of these"


@exercise(
    chapter=CHAPTER,
    hints=(
        "The partner of channel d is channel d + D/2: cut x in two halves, `x.chunk(2, dim=-1)`.",
        "With a from the first half and b from the second, the turned pair is (a cos − b sin, a sin + b cos).",
        "Lay the two results side by side again, in the order of the halves: `torch.cat(…, dim=-1)`.",
    ),
)
def turn_halves(attempt):
    """Turn the pairs of channels (d, d + D/2) of every place by its angles: (..., T, D) -> (..., T, D)."""
    x, angles = random_tensor(2, 3, 6), angles_at(1, 3, 6, 100.0)
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    mistakes = {
        "this turns the other way: a positive angle moves the first channel towards the second": turn(x, -angles),
        "the pairs here are neighbours, (0, 1), (2, 3), …: in this layout the partner of d is d + D/2": turn_neighbours(
            x, angles
        ),
        "sine and cosine have changed places": torch.cat((a * sin - b * cos, a * cos + b * sin), -1),
        "one of the signs is wrong, so this is a reflection and not a turn": torch.cat(
            (a * cos + b * sin, a * sin - b * cos), -1
        ),
        "both signs are plus, so lengths change: one of the two terms with a sine is subtracted": torch.cat(
            (a * cos + b * sin, a * sin + b * cos), -1
        ),
        "only the first channel of each pair is turned, the second comes back as it was": torch.cat(
            (a * cos - b * sin, b), -1
        ),
        "the second half is computed from the first half's *result*: use the old values in both": torch.cat(
            (a * cos - b * sin, (a * cos - b * sin) * sin + b * cos), -1
        ),
        "the two halves of the result have changed places": torch.cat((a * sin + b * cos, a * cos - b * sin), -1),
        "the results are interleaved: the halves lie side by side": torch.stack(
            (a * cos - b * sin, a * sin + b * cos), dim=-1
        ).flatten(-2),
    }
    diagnose(attempt(x, angles), turn(x, angles), mistakes)
    q = random_tensor(2, 4, 3, 8, seed=1)
    table = angles_at(0, 3, 8)
    expect_close(attempt(q, table), turn(q, table), "queries with a batch and heads, (B, H, T, D), come out wrong")
    return "lengths are kept, and so is every angle between vectors at the same place"


@exercise(
    chapter=CHAPTER,
    hints=(
        "By (20.3) it is enough to turn one of the two vectors, by the distance.",
        "Two ways: turn the query forward by ω_d · distance and leave the key alone, or write out (20.4) for each pair.",
        "The pairs are (d, d + D/2): cut both vectors into halves. Then sum over all pairs.",
    ),
)
def distance_score(attempt):
    """Return the score of a query that stands so many places after a key, a number, from the unturned vectors."""
    q, k = random_tensor(6), random_tensor(6, seed=1)
    angles = angles_at(3, 1, 6, 100.0)[0]  # (D/2,)
    a, b = q.chunk(2)
    c, d = k.chunk(2)
    along, across = a * c + b * d, a * d - b * c
    right = (along * angles.cos() + across * angles.sin()).sum()
    mistakes = {
        "this is the score at distance 0: nothing is turned, or both vectors are, and the turns cancel": q @ k,
        "this is the score of a key *after* the query: the sign of the distance is wrong": (
            along * angles.cos() - across * angles.sin()
        ).sum(),
        "the part with the sine is missing: a turn also mixes the two channels of a pair": (along * angles.cos()).sum(),
        "the pairs here are neighbours: pair d with d + D/2": turn_neighbours(q, angles) @ k,
        "all pairs turn at the speed of the first: each has its own": turn(q, torch.full((3,), 3.0)) @ k,
        "this is divided by √D, which is attention's business, not the rotation's": right / 6**0.5,
        "the shares of the pairs are not added up yet": along * angles.cos() + across * angles.sin(),
    }
    diagnose(attempt(q, k, 3, 100.0), right, mistakes)
    expect_close(attempt(q, k, 0, 100.0), q @ k, "at distance 0 the score is the plain dot product")
    wide_q, wide_k = random_tensor(16, seed=2), random_tensor(16, seed=3)
    far = turn(wide_q, angles_at(140, 1, 16)[0]) @ turn(wide_k, angles_at(40, 1, 16)[0])
    found = attempt(wide_q, wide_k, 100, 10_000.0)
    expect_close(found, far, "with 16 channels and at distance 100 the score is wrong", atol=1e-4)
    return "no place appears in it, only the distance"
