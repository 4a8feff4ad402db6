"""What people reported of how others cut texts into batches, tried on ours; `tests/cases/README.md` has the list."""

import pytest
import torch

from minigpt import UserError, get_batch


@pytest.mark.parametrize("n", [5, 6, 9])
def test_every_window_of_a_text_is_drawn_and_each_is_whole(n):
    """minGPT 31; ng-video-lecture 56; OpenVerifiableLLM 92: the last window was left out, or one too many was drawn."""
    inputs, targets = get_batch(torch.arange(n), 400, 4, torch.Generator().manual_seed(0))
    assert inputs.shape == targets.shape == (400, 4)
    assert torch.equal(targets, inputs + 1)
    assert sorted(set(inputs[:, 0].tolist())) == list(range(n - 4))


@pytest.mark.parametrize("n", [0, 1, 4])
def test_a_text_too_short_for_a_window_is_a_sentence(n):
    """nanoGPT 292: random_ expects 'from' to be less than 'to'."""
    with pytest.raises(UserError, match=f"has {n} tokens, too few for one window of 4 and its targets"):
        get_batch(torch.arange(n), 1, 4, torch.Generator())
