"""A run beside its reference_band."""

import pytest

from minigpt.notebook.check_run.comparison import Comparison
from minigpt.notebook.check_run.reference import QUANTITIES, Band, ReferenceBand
from tests.notebook.test_reference_bands import record

STEPS = [10, 20, 30, 40, 50, 60]
MEAN = [4.0, 3.0, 2.6, 2.4, 2.3, 2.2]


def flat(value: float, width: float = 0.2) -> Band:
    return Band([value] * 6, [value - width / 2] * 6, [value + width / 2] * 6)


@pytest.fixture
def reference_band() -> ReferenceBand:
    band = Band(MEAN, [value - 0.1 for value in MEAN], [value + 0.1 for value in MEAN])
    bands = {quantity: flat(1.0) for quantity in QUANTITIES}
    bands |= {"training_loss": band, "validation_loss": band, "gap": flat(0.0)}
    return ReferenceBand("the test", {"name": "a text"}, {}, {}, [1, 2, 3], {}, STEPS, bands)


def run(losses: list[float], gap: float = 0.0, noise: float = 0.0) -> list:
    """A record for every step: each interval's loss, and an evaluation at its end."""
    return [
        record(
            10 * place + i,
            loss + (noise if i % 2 else -noise),
            loss + gap if i == 10 else None,
        )
        for place, loss in enumerate(losses)
        for i in range(1, 11)
    ]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        (MEAN, "inside"),
        ([value + 0.35 for value in MEAN], "inside"),
        ([value + 0.45 for value in MEAN], "above"),
        ([value - 0.45 for value in MEAN], "below"),
        ([*MEAN[:4], 3.0, 3.0], "above"),
        ([*MEAN[:4], 1.0, 1.0], "below"),
        ([9.0, *MEAN[1:]], "inside"),
        (MEAN[:2], "inside"),
        ([9.0], "above"),
    ],
)
def test_where_a_curve_lies(reference_band, losses, verdict):
    assert Comparison(run(losses), reference_band).verdict("training_loss") == verdict
    assert Comparison(run(losses), reference_band).verdict("validation_loss") == verdict


def test_a_run_without_evaluations_has_no_verdict(reference_band):
    records = [record(step, 2.0) for step in range(1, 61)]
    assert Comparison(records, reference_band).verdict("validation_loss") == "unknown"
    assert Comparison(records, reference_band).late_gap() == 0.0
    assert not Comparison(records, reference_band).gap_is_large()


def test_ratios_are_beside_the_mean(reference_band):
    comparison = Comparison(run([value * 0.5 for value in MEAN]), reference_band)
    assert comparison.ratio("training_loss") == comparison.last_ratio("training_loss") == pytest.approx(0.5)
    assert comparison.ratio("noise") == pytest.approx(0.0)


def test_the_late_gap_needs_less_room_than_a_single_one(reference_band):
    limit = 0.1 + 0.3 / 2  # the highest, and the room over the root of four intervals
    for gap in (limit - 0.01, limit + 0.01):
        comparison = Comparison(run(MEAN, gap=gap), reference_band)
        assert comparison.late_gap() == pytest.approx(gap)
        assert comparison.gap_is_large() == (gap > limit)


def test_the_late_fall_is_beside_the_references(reference_band):
    assert Comparison(run(MEAN), reference_band).late_fall() == pytest.approx(0.0)
    slow = [4.2, 4.0, 3.6, 3.2, 2.8, 2.4]
    assert Comparison(run(slow), reference_band).late_fall() == pytest.approx(0.8 - 0.2)
    assert Comparison(run(slow[:1]), reference_band).late_fall() == 0.0


def test_a_jump_is_beside_the_first_loss(reference_band):
    assert Comparison(run([4.0, 9.0, 3.0]), reference_band).jump() == pytest.approx(5.0)
