"""The state of the global generators as a value."""

import pytest
import torch

from minigpt.training.randomness import (
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


@pytest.mark.parametrize(("saved", "here"), [(2, 0), (2, 1), (1, 2), (0, 1)])
def test_a_state_from_a_machine_with_other_devices_can_be_restored(monkeypatch, saved, here):
    restored = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: here)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append((state, device)))
    restore_random_state({"cpu": torch.get_rng_state(), "cuda": [f"state {device}" for device in range(saved)]})
    assert restored == [(f"state {device}", device) for device in range(min(saved, here))]
