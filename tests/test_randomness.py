"""The state of the global generators as a value."""

import pytest
import torch

from minigpt.randomness import (
    current_random_state,
    restore_random_state,
    seeded_random_state,
    unchanged_randomness,
)


def test_a_state_put_back_gives_the_same_numbers():
    state = current_random_state()
    numbers = torch.rand(5)
    assert not torch.equal(torch.rand(5), numbers)
    restore_random_state(state)
    assert torch.equal(torch.rand(5), numbers)


def test_a_seeded_state_is_that_of_manual_seed():
    before = torch.get_rng_state()
    state = seeded_random_state(5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    expected = torch.rand(5)
    restore_random_state(state)
    assert torch.equal(torch.rand(5), expected)


def test_a_block_leaves_the_generators_alone_even_when_it_fails():
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), unchanged_randomness():
        torch.rand(5)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)


def test_a_state_with_more_devices_than_there_are_here_can_be_restored():
    state = current_random_state()
    surplus = {"cpu": state["cpu"], "cuda": [*state["cuda"], torch.zeros(16, dtype=torch.uint8)]}
    restore_random_state(surplus)
    assert torch.equal(torch.get_rng_state(), state["cpu"])
