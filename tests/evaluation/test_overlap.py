"""What two texts share, against the plainest search there is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import UserError
from minigpt.evaluation.memorization import Overlap, copied_mask, matching_statistics, overlap

few = st.text("ab", max_size=25)


def plainly(sample, source):
    """The longest stretch from each place, by trying every length."""
    return [
        max(n for n in range(len(sample) - start + 1) if sample[start : start + n] in source)
        for start in range(len(sample))
    ]


@given(few, few)
def test_matches_are_those_of_the_plainest_search(sample, source):
    assert matching_statistics(sample, source) == plainly(sample, source)


@given(few, few, st.integers(1, 6))
def test_a_place_is_copied_if_any_long_stretch_of_the_source_covers_it(sample, source, n):
    covered = {
        place
        for start in range(len(sample) - n + 1)
        if sample[start : start + n] in source
        for place in range(start, start + n)
    }
    assert [place for place, copied in enumerate(copied_mask(sample, source, n)) if copied] == sorted(covered)


def test_characters_and_ids_and_tensors_are_counted_alike():
    found = Overlap(longest=4, share=0.8)
    assert overlap("tobex", "ornottobe", 3) == found
    ids = [3, 1, 4, 1, 0], [9, 9, 3, 1, 4, 1, 5]
    assert overlap(*ids, 3) == overlap(*map(torch.tensor, ids), 3) == found


def test_large_ids_are_no_other_ids():
    assert overlap([50_256, 55_296, 57_343], [57_343, 50_256, 55_296], 2) == Overlap(2, 2 / 3)


def test_nothing_shared_and_everything_shared():
    assert overlap("abc", "xyz", 1) == Overlap(0, 0.0)
    assert overlap("abc", "xabcy", 3) == Overlap(3, 1.0)


def test_an_empty_sample_and_an_empty_stretch_are_refused():
    with pytest.raises(UserError, match="empty"):
        overlap("", "abc")
    with pytest.raises(UserError, match="at_least = 0"):
        overlap("abc", "abc", 0)
