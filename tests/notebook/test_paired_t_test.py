"""A verdict is that of a paired test, and says no more than the seeds can show."""

import pytest

from minigpt.notebook.ablations import difference, paired_differences, significance


def variant(*losses: float) -> dict:
    return {"runs": {str(seed): {"validation_loss": loss} for seed, loss in enumerate(losses, start=1)}}


@pytest.mark.parametrize(
    ("losses", "says", "word"),
    [
        ((1.90, 2.00, 1.951), "better by 0.09", "better"),
        ((2.10, 2.21, 2.15), "worse by 0.10", "worse"),
        ((2.0, 2.0, 2.1), "no difference that 3 seeds can show", "no difference"),
        ((1.5,), "recorded with 1 seed, too few to judge", "too few seeds"),
        ((), "recorded with 0 seeds, too few to judge", "too few seeds"),
    ],
)
def test_the_verdict_is_that_of_a_paired_test(losses, says, word):
    changed, baseline = variant(*losses), variant(2.0, 2.1, 2.05)
    assert significance(changed, baseline).startswith(says)
    assert difference(changed, baseline).word == word


def test_the_margin_is_that_of_students_t():
    # differences 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, margin 4.30 · 0.1 / √3
    found = significance(variant(2.1, 2.2, 2.3), variant(2.0, 2.0, 2.0))
    assert found == "no difference that 3 seeds can show (+0.2000 ± 0.2483 nats at 95 %)"


def test_only_seeds_that_both_have_are_compared():
    found = paired_differences(variant(2.5, 2.25, 3.0), variant(2.0, 2.0))
    assert found == {"1": 0.5, "2": 0.25}
