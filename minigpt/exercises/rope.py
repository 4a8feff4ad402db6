"""Exercises of the chapter on RoPE: angles, turns, what depends on distance alone, layouts, and longer texts."""

from collections.abc import Callable

import torch
from torch import Tensor

from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, expect_type, random_tensor

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
    sizes = {"n_places": 3, "head_dim": 6, "base": 50.0, "start": 5}
    right = angles_at(5, 3, 6, 50.0)
    place = torch.arange(5.0, 8.0).unsqueeze(1)  # (T, 1)
    pair = torch.arange(3)
    mistakes = {
        "the base is fixed in your code: it is handed over, and is 50 here": angles_at(5, 3, 6),
        "the places begin at `start`, not at 0": right - 5 * speeds(6, 50.0),
        "the first place is `start` itself: the places are one too high": right + speeds(6, 50.0),
        "the exponent is 2d/D with d = 0, 1, 2, …; the 2 is missing": place * 50.0 ** (-pair / 6),
        "the exponent is 2d/D, and D is the width of the head, not the number of pairs": place
        * 50.0 ** (-2 * pair / 3),
        "the later pairs must be slower: the exponent is negative": place * 50.0 ** (2 * pair / 6),
        "these are degrees: leave the angles in radians": right.rad2deg(),
        "these are the speeds, before they were multiplied by the places": speeds(6, 50.0),
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


@exercise(
    chapter=CHAPTER,
    hints=(
        "Row r of the weight makes channel r of the output. Which rows belong to one head? A run of D neighbours.",
        "Within a head, the half-split layout wants first the rows 0, 2, 4, … and then the rows 1, 3, 5, ….",
        "`weight.unflatten(0, (n_head, -1, 2))` has the shape (H, D/2, 2, C): head, pair, which of the two, input.",
        "Exchange the two dimensions in the middle and flatten the first three again.",
    ),
)
def to_half_split(attempt):
    """Reorder the rows of a query or key matrix, (C, C), from neighbouring pairs to pairs (d, d + D/2) in each head."""
    weight, heads = random_tensor(12, 12), 2  # D = 6
    cut = weight.unflatten(0, (heads, 3, 2))  # (H, D/2, 2, C)
    right = cut.transpose(1, 2).flatten(0, 2)
    whole = torch.cat((weight[0::2], weight[1::2]))
    mistakes = {
        "nothing has changed": weight,
        "the heads are mixed: the pairs are to be sorted within each head": whole,
        "this is the way back, from halves to neighbours": weight.unflatten(0, (heads, 2, 3))
        .transpose(1, 2)
        .flatten(0, 2),
        "the columns are reordered: a row makes one channel of the query": weight.T.unflatten(0, (heads, 3, 2))
        .transpose(1, 2)
        .flatten(0, 2)
        .T,
        "the odd rows come first: the first half takes the even ones": cut.flip(2).transpose(1, 2).flatten(0, 2),
        "this has another order of heads: they stay where they are": cut.flip(0).transpose(1, 2).flatten(0, 2),
        "this lies on its side": right.T,
    }
    diagnose(attempt(weight, heads), right, mistakes)
    wide = random_tensor(24, 24, seed=1)
    for count in (1, 3, 6):
        expected = wide.unflatten(0, (count, -1, 2)).transpose(1, 2).flatten(0, 2)
        expect_close(attempt(wide, count), expected, f"with {count} heads of {24 // count} channels the order is wrong")
    return "do it to queries and keys alike, and every score stays as it was; values are not turned, so leave theirs"


PLACES = torch.arange(4096, dtype=torch.float64).unsqueeze(1)  # (4096, 1)
TABLE = random_tensor(4096, 8)


def by_angles(angles: Tensor, scheme: Callable = turn, shrink: float = 1.0) -> Callable:
    """Return what turns vectors at places that follow one another, in double precision, so that no rounding decides.

    A turn is linear, so there is a matrix for each place, and they are made once.
    """
    units = torch.eye(8, dtype=torch.float64).unsqueeze(1).expand(8, 4096, 8)
    matrices = (scheme(units, angles) * shrink**PLACES).transpose(0, 1)  # (4096, 8, 8)
    return lambda x, at: (x.double().unsqueeze(-2) @ matrices[at]).squeeze(-2)


SCHEMES = {  # name: (does only the distance count?, what it does to vectors (T, 8) at a slice of places)
    "no positions at all": (True, lambda x, at: x),
    "a sign that changes from place to place": (True, lambda x, at: x * (1 - 2 * (PLACES[at] % 2))),
    "rotary positions": (True, by_angles(PLACES * speeds(8, 10_000.0))),
    "rotary positions of neighbouring pairs": (True, by_angles(PLACES * speeds(8, 100.0), turn_neighbours)),
    "turns in the other direction": (True, by_angles(-PLACES * speeds(8, 10_000.0))),
    "turns that begin 40 places late": (True, by_angles((PLACES + 40) * speeds(8, 10_000.0))),
    "a table of random vectors, added": (False, lambda x, at: x + TABLE[at]),
    "angles that grow with the square of the place": (False, by_angles(PLACES**2 * speeds(8, 100.0))),
    "vectors that shrink from place to place": (False, by_angles(PLACES * speeds(8, 100.0), shrink=0.99)),
    "turns that start again every 16 places": (False, by_angles(PLACES % 16 * speeds(8, 10_000.0))),
    "places rounded to bfloat16": (False, by_angles(PLACES.bfloat16().double() * speeds(8, 10_000.0))),
}


@exercise(
    chapter=CHAPTER,
    seconds=60.0,
    hints=(
        "Turn a random query and a random key twice: at some places, and at places further on with the same distance. Do the scores agree?",
        "Compare scores, not turned vectors: the vectors may well differ. And allow for rounding: `torch.allclose(…, atol=1e-3)`.",
        "One query at one place is little. Turn 32 of each, `rotate(q, start)`, and compare the whole matrix of scores, (T, T).",
        "Try shifts of many sizes, 1 and 7 as well as hundreds: some schemes fail at a border, others only far out.",
    ),
)
def only_distance_counts(attempt):
    """Return whether the scores under a scheme `rotate(x, start)` depend on the distance alone, True or False."""
    for name, (right, move) in SCHEMES.items():

        def rotate(x: Tensor, start: int = 0, move=move) -> Tensor:
            """Give the vectors, (T, 8), their places: start, start + 1, ..."""
            expect(isinstance(x, Tensor) and x.dim() == 2, "call it as `rotate(x, start)` with vectors of shape (T, D)")
            expect(x.size(-1) == 8, f"the vectors have {x.size(-1)} channels, but the schemes here are made for D = 8")
            expect(0 <= start <= 4096 - len(x), "the schemes here know the places from 0 to 4095: try other shifts")
            return move(x, slice(start, start + len(x))).type_as(x)

        answer = attempt(rotate)
        expect_type(answer, bool, f"answer with True or False, not with a {type(answer).__name__}")
        can = "are equal, but for rounding" if right else "can differ"
        expect(answer == right, f"you say {answer} for {name}, where two scores at the same distance {can}")
    return "six schemes pass and five fail, some of them only at a border or far from the start"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write down the speed of the slowest pair, the one with d = D/2 − 1, by (20.5). Its exponent is −(D − 2)/D.",
        "With the new base its speed shall be s times smaller. That is an equation for the new base.",
        "Raise both sides to the power −D/(D − 2).",
    ),
)
def stretched_base(attempt):
    """Return the base with which the slowest pair turns `stretch` times slower, and the fastest as fast as before."""
    right = 10_000.0 * 4.0 ** (32 / 30)
    mistakes = {
        "this makes the base larger by the stretch itself, and the slowest pair comes out a little too fast": 40_000.0,
        "the exponent is upside down: D/(D − 2)": 10_000.0 * 4.0 ** (30 / 32),
        "the slowest pair has d = D/2 − 1, so that its exponent is −(D − 2)/D": 10_000.0 * 4.0 ** (32 / 31),
        "this makes the base smaller, and all pairs faster": 10_000.0 * 4.0 ** (-32 / 30),
        "this divides the base by the stretch, so that the pairs turn faster": 2_500.0,
        "this raises the base to the power too: only the stretch has the exponent": 40_000.0 ** (32 / 30),
        "this is the slowest pair's speed, not the base that gives it": right ** (-30 / 32),
    }
    diagnose(attempt(10_000.0, 32, 4.0), right, mistakes, atol=1e-6, rtol=1e-5)
    for base, head_dim, stretch in ((10_000.0, 4, 8.0), (500_000.0, 128, 2.0)):
        found = attempt(base, head_dim, stretch)
        slowest = speeds(head_dim, base)[-1] / stretch
        sentence = f"with base {base:,.0f}, {head_dim} channels and a stretch of {stretch:.0f} the slowest pair is off"
        expect_type(found, (float, int, Tensor))
        expect_close(float(found) ** (-(head_dim - 2) / head_dim) / slowest.item(), 1.0, sentence, atol=1e-3)
    expect_close(attempt(10_000.0, 32, 1.0), 10_000.0, "a stretch of 1 should leave the base as it is")
    return "the fastest pair tells neighbours apart as before, and the slowest meets no angle that is new to it"
