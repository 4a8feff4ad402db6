"""LayerNorm and the MLP."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from minigpt import MLP, GPTConfig, LayerNorm
from minigpt.model.layers import MLPS, NORMS, RMSNorm, SquaredReLUMLP, SwiGLU

CONFIG = GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=2, n_embd=6)


def test_layer_norm_is_the_formula():
    x = torch.randn(2, 3, 8) * 5 + 2
    norm = LayerNorm(8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias
    assert_close(norm(x), expected)


def test_layer_norm_begins_with_mean_0_and_variance_1():
    y = LayerNorm(64)(torch.randn(2, 3, 64) * 5 + 2)
    assert_close(y.mean(-1), torch.zeros(2, 3), atol=1e-5, rtol=0)
    assert_close(y.var(-1, correction=0), torch.ones(2, 3), atol=1e-4, rtol=0)


def test_layer_norm_without_bias_has_none():
    norm = LayerNorm(8, bias=False)
    assert [name for name, _ in norm.named_parameters()] == ["weight"]
    x = torch.randn(3, 8)
    assert_close(norm(x), LayerNorm(8)(x))


def test_rms_norm_is_the_formula():
    x = torch.randn(2, 3, 8) * 5 + 2
    norm = RMSNorm(8)
    nn.init.normal_(norm.weight)
    assert_close(norm(x), x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight)


def test_rms_norm_is_layer_norm_where_the_mean_is_0():
    x = torch.randn(2, 3, 8)
    x = x - x.mean(-1, keepdim=True)
    assert_close(RMSNorm(8)(x), LayerNorm(8)(x))


def test_rms_norm_keeps_half_precision_without_a_warning(recwarn):
    x = torch.randn(2, 3, 8).bfloat16()
    assert RMSNorm(8)(x).dtype == torch.bfloat16
    assert not recwarn


def test_every_norm_takes_a_width_and_whether_there_are_biases():
    x = torch.randn(2, 3, 8)
    for norm in NORMS.values():
        shapes = {norm(CONFIG.replace(n_embd=8, bias=bias))(x).shape for bias in (True, False)}
        assert shapes == {x.shape}


def test_squared_relu_is_the_formula():
    mlp, x = SquaredReLUMLP(6, 10), torch.randn(2, 3, 6)
    hidden = mlp.up(x).clamp(min=0) ** 2
    assert_close(mlp(x), mlp.down(hidden))


def test_swiglu_is_the_formula():
    mlp, x = SwiGLU(6, 10), torch.randn(2, 3, 6)
    gate = mlp.gate(x)
    assert_close(mlp(x), mlp.down(gate / (1 + torch.exp(-gate)) * mlp.up(x)))


def test_swiglu_has_as_many_parameters_at_two_thirds_of_the_width():
    plain, gated = MLP(12, 48, bias=False), SwiGLU(12, 32, bias=False)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in gated.parameters())


@pytest.mark.parametrize("name", MLPS)
def test_every_mlp_treats_every_position_alone_and_drops_in_training_only(name):
    mlp = MLPS[name](CONFIG.replace(mlp_dim=10, dropout=0.5))
    x = torch.randn(1, 40, 6)
    assert (mlp(x) == 0).any()
    assert_close(mlp.eval()(x)[:, 2:3], mlp(x[:, 2:3]))


def test_mlp_is_the_formula():
    mlp = MLP(6, 10)
    x = torch.randn(2, 3, 6)
    hidden = x @ mlp.up.weight.T + mlp.up.bias
    gelu = 0.5 * hidden * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
    assert_close(mlp(x), gelu @ mlp.down.weight.T + mlp.down.bias)


def test_mlp_treats_every_position_alone():
    mlp = MLP(6, 10)
    x = torch.randn(1, 4, 6)
    assert_close(mlp(x)[:, 2:3], mlp(x[:, 2:3]))


def test_mlp_without_bias_has_none():
    assert [name for name, _ in MLP(6, 10, bias=False).named_parameters()] == ["up.weight", "down.weight"]


def test_mlp_dropout_acts_in_training_only():
    mlp = MLP(6, 10, dropout=0.5)
    x = torch.randn(4, 4, 6)
    assert (mlp(x) == 0).float().mean() > 0.2
    assert not (mlp.eval()(x) == 0).any()
