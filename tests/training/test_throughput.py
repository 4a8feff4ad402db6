"""How fast a model trains: the arithmetic, and a real measurement."""

from types import SimpleNamespace

import pytest
import torch

from minigpt import GPTConfig, TrainConfig, Trainer, UserError, model_preset
from minigpt.planning.counting import matmul_parameters, training_flops
from minigpt.planning.devices import expected_tokens_per_second, mfu
from minigpt.training import throughput
from minigpt.training.throughput import measure_throughput

CONFIG = GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8)


def test_gpt2_at_the_formula_of_palm():
    """6 N + 12 L H Q T operations a token, N being the parameters that are multiplied (Chowdhery et al., 2022)."""
    gpt2 = model_preset("gpt2")
    heads = 12 * gpt2.n_layer * gpt2.n_head * gpt2.head_dim * gpt2.block_size
    assert training_flops(gpt2) == 6 * matmul_parameters(gpt2) + heads
    found = mfu(gpt2, tokens_per_second=100_000, peak=312e12)
    assert found == pytest.approx(100_000 * (6 * matmul_parameters(gpt2) + heads) / 312e12)
    assert 0.2 < found < 0.3


def test_expected_speed_is_utilisation_turned_round():
    speed = expected_tokens_per_second(CONFIG, peak=1e12, mfu=0.4)
    assert mfu(CONFIG, speed, 1e12) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("function", "numbers", "sentence"),
    [
        (mfu, (0, 1e12), "tokens_per_second = 0 must be above 0"),
        (mfu, (1, -1), "peak = -1 must be above 0"),
        (expected_tokens_per_second, (1e12, 40), "mfu = 40 must be above 0 and at most 1"),
        (expected_tokens_per_second, (0, 0.4), "peak = 0 must be above 0"),
    ],
)
def test_a_number_that_cannot_be_is_named(function, numbers, sentence):
    with pytest.raises(UserError, match=sentence):
        function(CONFIG, *numbers)


def test_only_steps_after_the_warmup_are_timed(monkeypatch):
    """A clock that ticks once a step shows which steps are counted."""
    taken = []
    advance = Trainer.run_step
    monkeypatch.setattr(Trainer, "run_step", lambda self: taken.append(advance(self)) or taken[-1])
    monkeypatch.setattr(Trainer, "validate", lambda self: pytest.fail("an evaluation is not a training step"))
    monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: len(taken) ** 2))
    settings = TrainConfig(max_steps=1, batch_size=2, eval_every=1, sample_every=1)
    found = measure_throughput(CONFIG, settings, steps=3, warmup=2, device="cpu")
    assert len(taken) == 5
    assert found == 3 * 2 * CONFIG.block_size / (5**2 - 2**2)


def test_the_measurement_leaves_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert measure_throughput(CONFIG, TrainConfig(batch_size=2), steps=1, device="cpu") > 0
    assert torch.equal(torch.rand(2), expected)
