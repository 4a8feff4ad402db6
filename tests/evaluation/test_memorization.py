"""The floor under the training loss, and reciting, on texts small enough to count by hand."""

import math

import pytest
import torch
from torch import nn

from minigpt import GPT, GPTConfig, UserError, evaluate
from minigpt.evaluation.memorization import (
    entropy,
    evenly_spaced_windows,
    extraction_rate,
    greedy_continuation,
    loss_per_position,
    memorized_loss_floor,
)


class Recaller(nn.Module):
    """A model that knows one text by heart: it looks the context up and counts what followed it."""

    def __init__(self, ids, block_size, vocab_size):
        super().__init__()
        self.ids, self.config = (
            ids.tolist(),
            GPTConfig(vocab_size=vocab_size, block_size=block_size, n_layer=1, n_head=1, n_embd=1),
        )

    def forward(self, windows):
        logits = torch.full((*windows.shape, self.config.vocab_size), -math.inf)
        for row, window in enumerate(windows.tolist()):
            for place in range(len(window)):
                counts = self.counts_after(window[: place + 1])
                logits[row, place] = counts.log()
        return logits

    def counts_after(self, context):
        counts = torch.zeros(self.config.vocab_size)
        starts = range(len(self.ids) - self.config.block_size)  # where a window may begin
        for start in starts:
            if self.ids[start : start + len(context)] == context:
                counts[self.ids[start + len(context)]] += 1
        return counts


def loss_on_every_window(model, ids, block_size):
    windows = torch.stack([ids[start : start + block_size + 1] for start in range(len(ids) - block_size)])
    logits = model(windows[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).item()


def test_entropy_of_a_coin_and_of_a_certainty():
    assert entropy("hthththt") == pytest.approx(math.log(2))
    assert entropy("aaaa") == pytest.approx(0.0)


@pytest.mark.parametrize("block_size", [1, 2, 5])
def test_a_model_that_counts_its_text_reaches_the_floor(block_size):
    ids = torch.randint(3, (30,), generator=torch.Generator().manual_seed(1))
    model = Recaller(ids, block_size, vocab_size=3)
    assert loss_on_every_window(model, ids, block_size) == pytest.approx(
        memorized_loss_floor(ids, block_size), abs=1e-6
    )


def test_no_other_model_comes_below_the_floor():
    torch.manual_seed(0)
    ids = torch.randint(3, (30,))
    model = GPT(GPTConfig(vocab_size=3, block_size=5, n_layer=1, n_head=1, n_embd=8))
    assert loss_on_every_window(model, ids, 5) > memorized_loss_floor(ids, 5)


def test_where_no_token_repeats_the_first_token_says_it_all():
    assert memorized_loss_floor(torch.arange(40), 8) == pytest.approx(0.0, abs=1e-9)


def test_a_text_shorter_than_a_window_has_no_floor():
    with pytest.raises(UserError, match="too few"):
        memorized_loss_floor(torch.arange(8), 8)


def test_a_model_that_knows_the_text_recites_it():
    ids = torch.randperm(40)
    model = Recaller(ids, block_size=8, vocab_size=40)
    torch.testing.assert_close(greedy_continuation(model, ids[None, :3], 4), ids[None, 3:7])
    assert extraction_rate(model, ids[:32], prompt_tokens=2, n_tokens=3, places=5) == 1.0


def test_one_wrong_token_is_no_recital():
    ids = torch.randperm(40)
    model = Recaller(ids, block_size=8, vocab_size=40)
    changed = ids[:32].clone()
    changed[4] = ids[39]  # the last of three that follow the only place
    assert extraction_rate(model, changed[:5], prompt_tokens=2, n_tokens=3, places=1) == 0.0
    with pytest.raises(UserError, match="too few"):
        extraction_rate(model, ids[:4], prompt_tokens=2, n_tokens=3)


def test_losses_by_place_have_the_mean_of_evaluate():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4, dropout=0.5)).train()
    ids = torch.randint(5, (4 * 40 + 1,))  # 40 windows without overlap, and the last target
    by_place = loss_per_position(model, ids, 4, n_windows=40)
    assert by_place.shape == (4,) and model.training
    assert by_place.mean().item() == pytest.approx(evaluate(model, ids, 4).loss, abs=1e-5)


def test_drawing_follows_the_generator():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=50, block_size=4, n_layer=1, n_head=1, n_embd=4))
    prompts = torch.randint(50, (3, 2))
    first, again, other = (
        greedy_continuation(model, prompts, 6, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (3, 6) and torch.equal(first, again) and not torch.equal(first, other)


def test_stretches_reach_from_the_first_token_to_the_last():
    torch.testing.assert_close(evenly_spaced_windows(torch.arange(10), 3, 2), torch.tensor([[0, 1, 2], [7, 8, 9]]))
    torch.testing.assert_close(evenly_spaced_windows(torch.arange(10), 3, 1), torch.tensor([[0, 1, 2]]))


def test_going_on_leaves_the_mode_as_it_was():
    model = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4, dropout=0.5)).train()
    greedy_continuation(model, torch.tensor([[1, 2]]), 6)
    assert model.training
