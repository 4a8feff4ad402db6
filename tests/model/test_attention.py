"""Attention: the formula, its two implementations, and the heads."""

import math

import pytest
import torch
from torch.testing import assert_close

from minigpt import CausalSelfAttention, naive_attention, sdpa_attention
from minigpt.model.attention import ATTENTION_FUNCTIONS
from minigpt.model.layers import RMSNorm


def random_qkv(*shape: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randn(*shape, dtype=torch.float64, requires_grad=True) for _ in range(3))


def test_naive_attention_is_the_formula_written_as_loops():
    q, k, v = (part.detach() for part in random_qkv(1, 1, 5, 4))
    y, weights = naive_attention(q, k, v)
    for query in range(5):
        scores = [sum(q[0, 0, query, d] * k[0, 0, key, d] for d in range(4)) / math.sqrt(4) for key in range(query + 1)]
        exponentials = [math.exp(score) for score in scores]
        expected = [exponential / sum(exponentials) for exponential in exponentials] + [0.0] * (4 - query)
        assert_close(weights[0, 0, query], torch.tensor(expected, dtype=torch.float64))
        mixed = sum(weight * v[0, 0, key] for key, weight in enumerate(expected))
        assert_close(y[0, 0, query], mixed)


@pytest.mark.parametrize("shape", [(2, 3, 7, 4), (1, 1, 1, 8), (2, 2, 33, 2)])
def test_naive_and_sdpa_agree_in_values_and_gradients(shape):
    q, k, v = random_qkv(*shape)
    direction = torch.randn(*shape, dtype=torch.float64)
    naive, weights = naive_attention(q, k, v)
    fused, none = sdpa_attention(q, k, v)
    assert none is None
    assert weights.shape == (*shape[:3], shape[2])
    assert_close(fused, naive)
    expected = torch.autograd.grad((naive * direction).sum(), (q, k, v))
    assert_close(torch.autograd.grad((fused * direction).sum(), (q, k, v)), expected)


def test_weights_are_probabilities_over_the_past():
    _, weights = naive_attention(*random_qkv(2, 3, 6, 4))
    assert_close(weights.sum(-1), torch.ones(2, 3, 6, dtype=torch.float64))
    assert weights.triu(1).eq(0).all()
    assert weights.tril().flatten(0, 1)[:, *torch.tril_indices(6, 6)].gt(0).all()


@pytest.mark.parametrize("attn_impl", ATTENTION_FUNCTIONS.values())
def test_the_first_token_sees_only_itself(attn_impl):
    q, k, v = random_qkv(1, 1, 4, 3)
    assert_close(attn_impl(q, k, v)[0][:, :, 0], v[:, :, 0])


def test_heads_split_and_join_without_mixing():
    layer = CausalSelfAttention(12, 3)
    x = torch.randn(2, 5, 12)
    heads = layer.split_heads(x)
    assert heads.shape == (2, 3, 5, 4)
    assert_close(heads[:, 1], x[:, :, 4:8])
    assert torch.equal(layer.merge_heads(heads), x)


def test_each_head_attends_by_itself():
    layer = CausalSelfAttention(8, 2, attn_impl=naive_attention)
    layer.out.weight.data, layer.out.bias.data = torch.eye(8), torch.zeros(8)
    x = torch.randn(1, 5, 8)
    q, k, v = layer.qkv(x).split(8, dim=-1)
    for head, channels in enumerate((slice(0, 4), slice(4, 8))):
        alone, _ = naive_attention(q[None, ..., channels], k[None, ..., channels], v[None, ..., channels])
        assert_close(layer(x)[..., channels], alone[0], msg=f"head {head}")


def test_a_notebook_can_bring_its_own_formula():
    def first_value(q, k, v):
        return v[:, :, :1].expand_as(v), None

    layer = CausalSelfAttention(8, 2, attn_impl=first_value)
    y = layer(torch.randn(1, 5, 8))
    assert_close(y, y[:, :1].expand_as(y))


@pytest.mark.parametrize("attn_impl", ATTENTION_FUNCTIONS.values())
@pytest.mark.parametrize("n_query", [1, 3, 5])
def test_fewer_queries_stand_at_the_end(attn_impl, n_query):
    q, k, v = random_qkv(2, 3, 5, 4)
    assert_close(attn_impl(q[:, :, -n_query:], k, v)[0], naive_attention(q, k, v)[0][:, :, -n_query:])


@pytest.mark.parametrize("attn_impl", ATTENTION_FUNCTIONS.values())
def test_a_bias_is_added_to_the_scores(attn_impl):
    q, k, v = random_qkv(2, 3, 5, 4)
    scores = q @ k.mT / 2 + torch.arange(5.0)
    weights = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf).softmax(-1)
    assert_close(attn_impl(q, k, v, torch.arange(5.0).expand(3, 5, 5))[0], weights @ v)


def test_a_group_of_heads_shares_keys_and_values():
    full, grouped = CausalSelfAttention(12, 6), CausalSelfAttention(12, 6, n_kv_head=2)
    q, k, v = full.qkv.weight.data.split(12)
    k, v = (part.view(2, 3, 2, 12)[:, :1].expand(2, 3, 2, 12).reshape(12, 12) for part in (k, v))  # heads 0–2 alike
    full.load_state_dict({"qkv.weight": torch.cat((q, k, v)), "qkv.bias": torch.zeros(36)}, strict=False)
    shared = [part.view(6, 2, 12)[::3].reshape(4, 12) for part in (k, v)]
    weights = {"qkv.weight": torch.cat((q, *shared)), "qkv.bias": torch.zeros(20)}
    grouped.load_state_dict(weights | {"out.weight": full.out.weight, "out.bias": full.out.bias})
    x = torch.randn(2, 5, 12)
    assert_close(grouped(x), full(x))


def test_as_many_heads_of_keys_as_of_queries_are_the_usual_attention():
    assert (
        CausalSelfAttention(12, 6, n_kv_head=6).qkv.weight.shape
        == CausalSelfAttention(12, 6).qkv.weight.shape
        == (36, 12)
    )
    x = torch.randn(1, 2, 3, 4)
    assert CausalSelfAttention(8, 2).repeat_kv(x).data_ptr() == x.data_ptr(), "nothing is copied"


def test_normed_queries_and_keys_bound_the_scores():
    layer = CausalSelfAttention(8, 2, attn_impl=naive_attention, qk_norm=RMSNorm)
    seen = []
    layer.attn_impl = lambda q, k, v: seen.extend((q, k)) or naive_attention(q, k, v)
    layer(100 * torch.randn(2, 5, 8))
    for part in seen:
        assert_close(part.square().mean(-1), torch.ones(2, 2, 5), atol=1e-3, rtol=0)


def test_dropout_acts_in_training_only():
    layer = CausalSelfAttention(8, 2, dropout=0.5)
    x = torch.randn(2, 5, 8)
    assert (layer(x) == 0).any()
    assert torch.equal(layer.eval()(x), layer(x))


def test_attention_without_bias_has_none():
    assert [name for name, _ in CausalSelfAttention(8, 2, bias=False).named_parameters()] == [
        "qkv.weight",
        "out.weight",
    ]
