"""AdamW's groups and the schedule."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import TrainConfig, UserError
from minigpt.training.muon import Muon
from minigpt.training.optim import learning_rate_at, make_adamw, make_muon, make_optimizer

CONFIG = TrainConfig(max_steps=100, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.1)


def test_only_matrices_decay(make_model):
    model = make_model(lm_head_bias=True)
    optimizer = make_adamw(model, TrainConfig(weight_decay=0.3))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        vector = "bias" in name or "norm" in name
        assert decay[id(parameter)] == (0.0 if vector else 0.3), name
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_settings_reach_the_optimizer(model):
    optimizer = make_adamw(model, TrainConfig(learning_rate=0.5, beta1=0.7, beta2=0.8))
    assert all(group["lr"] == 0.5 and group["betas"] == (0.7, 0.8) for group in optimizer.param_groups)


def test_a_tied_matrix_is_stepped_once(make_model):
    optimizer = make_adamw(make_model(tie_weights=True), TrainConfig())
    parameters = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(parameters) == len(set(parameters))


def test_frozen_parameters_are_left_out(model):
    model.token_embedding.requires_grad_(False)
    optimizer = make_adamw(model, TrainConfig())
    assert all(p.requires_grad for group in optimizer.param_groups for p in group["params"])


def test_one_step_is_adamw():
    layer = torch.nn.Linear(1, 1)
    weight, bias = layer.weight.item(), layer.bias.item()
    optimizer = make_adamw(layer, TrainConfig(learning_rate=0.1, weight_decay=0.5))
    (layer.weight.sum() * 3 - layer.bias.sum()).backward()
    optimizer.step()
    assert layer.weight.item() == pytest.approx(weight * (1 - 0.1 * 0.5) - 0.1, abs=1e-5)  # the first step is the sign
    assert layer.bias.item() == pytest.approx(bias + 0.1, abs=1e-5)


def test_the_settings_name_the_optimizer(model):
    assert type(make_optimizer(model, TrainConfig())) is torch.optim.AdamW
    assert type(make_optimizer(model, TrainConfig(optimizer="muon"))) is Muon
    with pytest.raises(UserError, match="There is no optimizer = 'sgd'; choose one of adamw, muon"):
        TrainConfig(optimizer="sgd")


def test_muon_takes_the_matrices_of_the_blocks(make_model):
    model = make_model(lm_head_bias=True, mlp="swiglu", qk_norm=True)
    rules = {id(p): group["rule"] for group in make_muon(model, TrainConfig()).param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        inside = name.startswith("blocks.") and parameter.dim() == 2
        assert rules[id(parameter)] == ("muon" if inside else "adamw"), name


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),
        (4, 0.5),
        (9, 1.0),
        (10, 1.0),
        (55, 0.55),
        (32.5, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2),
        (100, 0.1),
        (145, 0.1),
    ],
)
def test_the_schedule_at_known_places(step, expected):
    assert learning_rate_at(step, CONFIG) == pytest.approx(expected)


@given(warmup=st.integers(0, 30), steps=st.integers(1, 60), low=st.floats(0, 1))
def test_the_schedule_rises_then_falls_between_its_bounds(warmup, steps, low):
    config = TrainConfig(max_steps=steps, warmup_steps=warmup, learning_rate=1.0, min_learning_rate=low)
    rates = [learning_rate_at(step, config) for step in range(steps)]
    assert all(0 < rate <= 1 + 1e-12 for rate in rates[:warmup])
    assert all(low - 1e-12 <= rate <= 1 + 1e-12 for rate in rates[warmup:])
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
