"""The split and the batches: nothing is lost, and targets are the inputs one token later."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import CharTokenizer, Split, UserError, get_batch, split_text
from minigpt.data.batches import check_ids, check_windows


@given(st.text("abc", min_size=2), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_the_split_is_the_text_in_order(text, share):
    tokenizer = CharTokenizer("abc")
    train, validation = split_text(text, tokenizer, share)
    assert tokenizer.decode([*train.tolist(), *validation.tolist()]) == text
    assert abs(len(validation) - share * len(text)) <= 0.5 + 1e-9
    assert train.dtype == validation.dtype == torch.long


def test_a_tenth_is_held_out():
    train, validation = split_text("ab" * 50, CharTokenizer("ab"))
    assert (len(train), len(validation)) == (90, 10)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_wrong_share_is_named(share):
    with pytest.raises(UserError, match=f"val_fraction = {share} must lie between 0 and 1"):
        split_text("abc", CharTokenizer("abc"), share)


@given(n=st.integers(2, 40), batch_size=st.integers(1, 5), seed=st.integers(0, 2**32), data=st.data())
def test_targets_are_the_inputs_one_token_later(n, batch_size, seed, data):
    block_size = data.draw(st.integers(1, n - 1))
    ids = torch.arange(n)
    inputs, targets = get_batch(ids, batch_size, block_size, torch.Generator().manual_seed(seed))
    assert inputs.shape == targets.shape == (batch_size, block_size)
    assert torch.equal(targets, inputs + 1)
    assert torch.equal(inputs, inputs[:, :1] + torch.arange(block_size))


def test_every_window_is_drawn_and_equally_often():
    inputs, targets = get_batch(torch.arange(6), 4000, 2, torch.Generator().manual_seed(0))
    counts = inputs[:, 0].bincount()
    assert len(counts) == 4, "windows begin at 0, 1, 2 or 3"
    assert targets.max() == 5
    assert ((counts - 1000).abs() < 150).all()


def test_the_same_generator_gives_the_same_batches():
    batches = [get_batch(torch.arange(99), 4, 8, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(batches[0][0], batches[1][0])
    state = torch.get_rng_state()
    get_batch(torch.arange(99), 4, 8, torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_text_too_short_for_one_window_is_named():
    with pytest.raises(UserError, match="The text has 8 tokens, too few for one window of 8 and its targets"):
        get_batch(torch.arange(8), 1, 8, torch.Generator())
    long, short = torch.arange(9), torch.arange(8)
    check_windows(Split(long, long), 8)
    with pytest.raises(UserError, match="The training part has 8 tokens"):
        check_windows(Split(short, long), 8)
    with pytest.raises(UserError, match="The validation part has 8 tokens"):
        check_windows(Split(long, short), 8)


def test_ids_that_the_model_does_not_know_are_named():
    small, large = torch.arange(5), torch.arange(6)
    check_ids(Split(small, small), 5)
    with pytest.raises(UserError, match=r"The validation part holds the token id 5, but the model knows only 0 to 4"):
        check_ids(Split(small, large), 5)
    with pytest.raises(UserError, match="The training part"):
        check_ids(Split(large, small), 5)
