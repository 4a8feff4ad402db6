"""The sampler: what each filter keeps, and how tokens are drawn."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from minigpt import Sampler, UserError
from minigpt.generation.sampling import (
    apply_repetition_penalty,
    apply_temperature,
    min_p_filter,
    top_k_filter,
    top_p_filter,
)

LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=12).map(torch.tensor)
SHARES = st.floats(0.01, 1.0)
NOTHING_SEEN = torch.tensor([], dtype=torch.long)


def kept(logits: torch.Tensor) -> list[int]:
    return logits.isfinite().nonzero().flatten().tolist()


def frequencies(sampler: Sampler, logits: torch.Tensor, draws: int = 4000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    ids = [sampler.sample(logits, NOTHING_SEEN, generator).item() for _ in range(draws)]
    return torch.tensor(ids).bincount(minlength=len(logits)) / draws


@given(LOGITS, st.integers(1, 15))
def test_top_k_keeps_exactly_the_k_likeliest(logits, k):
    filtered = top_k_filter(logits, k)
    ids = kept(filtered)
    assert len(ids) == min(k, len(logits))
    assert torch.equal(filtered[ids], logits[ids])
    others = [id for id in range(len(logits)) if id not in ids]
    assert not others or logits[ids].min() >= logits[others].max()


def test_top_k_keeps_k_even_of_equals():
    assert len(kept(top_k_filter(torch.zeros(10), 3))) == 3


@given(LOGITS, SHARES)
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits, p):
    probabilities = logits.softmax(0)
    filtered = top_p_filter(logits, p)
    ids = kept(filtered)
    assert torch.equal(filtered[ids], logits[ids])
    mass, least = probabilities[ids].sum().item(), probabilities[ids].min().item()
    assert mass >= p - 1e-5
    assert mass - least < p + 1e-5 or len(ids) == 1
    others = [id for id in range(len(logits)) if id not in ids]
    assert not others or probabilities[others].max() <= least


def test_top_p_at_a_known_place():
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    assert kept(top_p_filter(logits, 0.4)) == [1]
    assert kept(top_p_filter(logits, 0.6)) == [1, 3]
    assert kept(top_p_filter(logits, 0.8)) == [1, 2, 3]
    assert kept(top_p_filter(logits, 0.95)) == [0, 1, 2, 3]
    assert len(kept(top_p_filter(torch.zeros(4), 0.5))) == 2, "two of four equals reach one half"
    assert kept(top_p_filter(torch.tensor([0.0, -30.0]), 1.0)) == [0, 1], "1 rules nothing out, whatever rounding does"


@given(LOGITS, SHARES)
def test_min_p_keeps_what_reaches_a_share_of_the_likeliest(logits, p):
    probabilities = logits.double().softmax(0)
    filtered = min_p_filter(logits, p)
    ratios = probabilities / probabilities.max()
    assert_close(filtered[ratios > p * 1.0001], logits[ratios > p * 1.0001])
    assert filtered[ratios < p * 0.9999].isinf().all()


@given(LOGITS)
def test_the_likeliest_token_survives_every_filter(logits):
    for filtered in (top_k_filter(logits, 1), top_p_filter(logits, 1e-9), min_p_filter(logits, 1.0)):
        assert filtered[logits == logits.max()].max() == logits.max()


@given(LOGITS, st.floats(1.01, 10), st.data())
def test_a_penalty_lowers_what_was_seen_and_nothing_else(logits, penalty, data):
    seen = torch.tensor(data.draw(st.lists(st.integers(0, len(logits) - 1))), dtype=torch.long)
    penalised = apply_repetition_penalty(logits, seen, penalty)
    for id, (before, after) in enumerate(zip(logits.tolist(), penalised.tolist(), strict=True)):
        if id not in seen:
            assert after == before
        elif before > 0:
            assert after == pytest.approx(before / penalty, rel=1e-5)
        else:
            assert after == pytest.approx(before * penalty, rel=1e-5)
    assert torch.equal(apply_repetition_penalty(logits, torch.cat((seen, seen)), penalty), penalised)


def test_filters_leave_their_input_alone():
    logits = torch.tensor([1.0, 2.0, 3.0])
    for change in (
        lambda: top_k_filter(logits, 1),
        lambda: top_p_filter(logits, 0.1),
        lambda: min_p_filter(logits, 0.9),
        lambda: apply_temperature(logits, 0.5),
        lambda: apply_repetition_penalty(logits, torch.tensor([0]), 2.0),
    ):
        assert not torch.equal(change(), logits)
        assert logits.tolist() == [1.0, 2.0, 3.0]


def test_the_defaults_filter_nothing():
    logits = torch.tensor([0.3, -2.0, 1.0])
    assert torch.equal(Sampler().process_logits(logits, torch.tensor([0, 1])), logits)


def test_the_settings_apply_in_order():
    logits, seen = torch.tensor([4.0, 3.9, 3.5, 0.0]), torch.tensor([0])
    sampler = Sampler(repetition_penalty=2.0, temperature=0.5, top_k=3, top_p=0.9, min_p=0.5)
    expected = min_p_filter(top_p_filter(top_k_filter(apply_repetition_penalty(logits, seen, 2.0) / 0.5, 3), 0.9), 0.5)
    assert torch.equal(sampler.process_logits(logits, seen), expected)
    assert kept(expected) == [1]


def test_the_penalty_comes_before_the_greedy_choice():
    sampler = Sampler(temperature=0, repetition_penalty=3.0)
    assert sampler.sample(torch.tensor([2.0, 1.0]), torch.tensor([0])).item() == 1


def test_draws_follow_the_probabilities():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    assert_close(frequencies(Sampler(), probabilities.log()), probabilities, atol=0.03, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_sharpens_and_flattens(temperature):
    probabilities = torch.tensor([0.5, 0.3, 0.2])
    expected = probabilities ** (1 / temperature)
    found = frequencies(Sampler(temperature=temperature), probabilities.log())
    assert_close(found, expected / expected.sum(), atol=0.03, rtol=0)


def test_ruled_out_tokens_are_never_drawn():
    found = frequencies(Sampler(top_k=2), torch.tensor([1.0, 0.9, 0.8]))
    assert found[2] == 0 and found[:2].min() > 0.4


@given(LOGITS)
def test_greedy_takes_the_likeliest(logits):
    chosen = Sampler(temperature=0).sample(logits, NOTHING_SEEN)
    assert chosen.shape == ()
    assert logits[chosen] == logits.max()


@given(LOGITS, st.floats(1e-4, 1e4))
def test_extreme_settings_still_draw_a_token(logits, extreme):
    for sampler in (Sampler(temperature=extreme), Sampler(repetition_penalty=extreme), Sampler(temperature=1e-4)):
        chosen = sampler.sample(logits, torch.tensor([0])).item()
        assert 0 <= chosen < len(logits)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_logits_that_are_no_numbers_are_an_error(temperature):
    with pytest.raises(UserError, match="logits are not numbers"):
        Sampler(temperature=temperature).sample(torch.tensor([math.nan, 1.0]), NOTHING_SEEN)


def test_half_precision_logits_are_filtered_in_single():
    class Watcher(Sampler):
        def process_logits(self, logits, seen):
            assert logits.dtype == torch.float32
            return super().process_logits(logits, seen)

    assert Watcher(top_p=0.9).sample(torch.tensor([1.0, 9.0], dtype=torch.bfloat16), NOTHING_SEEN).item() == 1


def test_a_generator_draws_the_same_tokens_and_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    draws = [[Sampler().sample(torch.zeros(9), NOTHING_SEEN, one).item() for _ in range(20)] for one in generators]
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.5}, "temperature = -0.5 must be at least 0.0001, or 0"),
        ({"temperature": 1e-30}, "temperature = 1e-30 must be at least 0.0001, or 0"),
        ({"temperature": math.inf}, "temperature = inf"),
        ({"temperature": math.nan}, "temperature = nan"),
        ({"top_k": 0}, "top_k = 0 must be at least 1"),
        ({"top_p": 0.0}, "top_p = 0.0 must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p = 1.5 must be above 0 and at most 1"),
        ({"top_p": math.nan}, "top_p = nan"),
        ({"min_p": -0.1}, "min_p = -0.1 must lie between 0 and 1"),
        ({"min_p": 1.1}, "min_p = 1.1 must lie between 0 and 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty = 0.0 must be at least 0.0001; 1 is none"),
        ({"repetition_penalty": math.inf}, "repetition_penalty = inf"),
        ({"repetition_penalty": math.nan}, "repetition_penalty = nan"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(UserError) as error:
        Sampler(**settings)
    assert message in str(error.value)
