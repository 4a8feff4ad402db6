"""LayerNorm and the MLP."""

import math

import torch
from torch import nn
from torch.testing import assert_close

from minigpt import MLP, LayerNorm


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
