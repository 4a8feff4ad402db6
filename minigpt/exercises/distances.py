"""Exercises of the chapter on rotary positions: what depends on distance alone, layouts, and longer texts."""

import torch
from torch import Tensor

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_close, expect_type, random_tensor
from minigpt.exercises.rotary import CHAPTER, speeds, turn, turn_neighbours


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


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Turn vectors by angles of double precision, so that only the scheme decides and not rounding."""
    return turn(x, angles).type_as(x)


SCHEMES = {  # name: (does only the distance count?, what it does to vectors (T, 8) at places (T, 1))
    "no positions at all": (True, lambda x, place: x),
    "a sign that changes from place to place": (True, lambda x, place: x * (1 - 2 * (place % 2))),
    "rotary positions": (True, lambda x, place: turned(x, place * speeds(8, 10_000.0))),
    "rotary positions of neighbouring pairs": (
        True,
        lambda x, place: turn_neighbours(x, place * speeds(8, 100.0)).type_as(x),
    ),
    "turns in the other direction": (True, lambda x, place: turned(x, -place * speeds(8, 10_000.0))),
    "turns that begin 40 places late": (True, lambda x, place: turned(x, (place + 40) * speeds(8, 10_000.0))),
    "a table of random vectors, added": (False, lambda x, place: x + random_tensor(4096, 8)[place.long().squeeze(1)]),
    "angles that grow with the square of the place": (False, lambda x, place: turned(x, place**2 * speeds(8, 100.0))),
    "vectors that shrink from place to place": (
        False,
        lambda x, place: turned(x, place * speeds(8, 100.0)) * 0.99**place,
    ),
    "turns that start again every 16 places": (False, lambda x, place: turned(x, place % 16 * speeds(8, 10_000.0))),
    "places rounded to bfloat16": (False, lambda x, place: turned(x, place.bfloat16().double() * speeds(8, 10_000.0))),
}


@exercise(
    chapter=CHAPTER,
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
            return move(x, torch.arange(start, start + len(x), dtype=torch.float64).unsqueeze(1)).type_as(x)

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
