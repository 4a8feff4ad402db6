"""The state of the global generators as a value."""

import pytest
import torch

from minigpt.utils.random_state import get_rng_state, preserve_rng_state, rng_state_from_seed, set_rng_state


def test_a_state_put_back_gives_the_same_numbers():
    state = get_rng_state()
    numbers = torch.rand(5)
    assert not torch.equal(torch.rand(5), numbers)
    set_rng_state(state)
    assert torch.equal(torch.rand(5), numbers)


def test_a_seeded_state_is_that_of_manual_seed():
    before = torch.get_rng_state()
    state = rng_state_from_seed(5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    expected = torch.rand(5)
    set_rng_state(state)
    assert torch.equal(torch.rand(5), expected)


def test_a_block_leaves_the_generators_alone_even_when_it_fails():
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), preserve_rng_state():
        torch.rand(5)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("saved", "here"), [(2, 0), (2, 1), (1, 2), (0, 1)])
def test_a_state_from_a_machine_with_other_devices_can_be_restored(monkeypatch, saved, here):
    restored = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: here)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append((state, device)))
    set_rng_state({"cpu": torch.get_rng_state(), "cuda": [f"state {device}" for device in range(saved)]})
    assert restored == [(f"state {device}", device) for device in range(min(saved, here))]
