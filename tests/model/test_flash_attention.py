"""Tiled attention: equal to the formula, forward and backward, and never holding all scores."""

import pytest
import torch
from torch.testing import assert_close

from minigpt.model.attention import naive_attention
from minigpt.model.flash_attention import tiled_attention, tiles, visible_tiles


def random_qkv(*shape: int, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randn(*shape, dtype=dtype, requires_grad=True) for _ in range(3))


@pytest.mark.parametrize(
    ("shape", "tile"),
    [((2, 3, 7, 4), 3), ((1, 2, 33, 8), 8), ((1, 1, 1, 8), 4), ((1, 2, 16, 4), 16), ((1, 1, 9, 2), 100)],
)
def test_values_and_gradients_are_the_formulas(shape, tile):
    q, k, v = random_qkv(*shape)
    direction = torch.randn(*shape, dtype=torch.float64)
    tiled, none = tiled_attention(q, k, v, tile=tile)
    naive, _ = naive_attention(q, k, v)
    assert none is None
    assert_close(tiled, naive)
    expected = torch.autograd.grad((naive * direction).sum(), (q, k, v))
    assert_close(torch.autograd.grad((tiled * direction).sum(), (q, k, v)), expected)


def test_single_precision_is_as_good_as_the_formulas():
    q, k, v = random_qkv(1, 2, 150, 16, dtype=torch.float32)
    assert_close(tiled_attention(q, k, v)[0], naive_attention(q, k, v)[0], atol=1e-5, rtol=1e-5)


def test_a_bias_is_added_to_the_scores():
    q, k, v = random_qkv(2, 2, 10, 4)
    attn_bias = torch.randn(2, 10, 10, dtype=torch.float64)
    expected = naive_attention(q, k, v, attn_bias)[0]
    found = tiled_attention(q, k, v, attn_bias, tile=4)[0]
    assert_close(found, expected)
    gradients = [torch.autograd.grad(y.square().sum(), (q, k, v)) for y in (found, expected)]
    assert_close(*gradients)


@pytest.mark.parametrize("n_query", [1, 3, 4, 9])
def test_fewer_queries_stand_at_the_end(n_query):
    q, k, v = random_qkv(1, 2, 10, 4)
    last = q[:, :, -n_query:]
    tiled = tiled_attention(last, k, v, tile=4)[0]
    assert_close(tiled, naive_attention(q, k, v)[0][:, :, -n_query:])
    gradients = [torch.autograd.grad(y.square().sum(), (q, k, v)) for y in (tiled, naive_attention(last, k, v)[0])]
    assert_close(*gradients)


def test_scores_beyond_the_range_of_exp_do_no_harm():
    q, k, v = (100 * part.detach() for part in random_qkv(1, 1, 12, 4, dtype=torch.float32))
    assert_close(tiled_attention(q, k, v, tile=5)[0], naive_attention(q, k, v)[0])


def test_half_precision_is_summed_in_single():
    q, k, v = (part.detach().bfloat16() for part in random_qkv(1, 2, 70, 8))
    tiled, _ = tiled_attention(q, k, v)
    assert tiled.dtype == torch.bfloat16
    exact, _ = naive_attention(q.float(), k.float(), v.float())
    assert_close(tiled, exact.bfloat16())


def test_autocast_reaches_neither_pass():
    q, k, v = random_qkv(1, 2, 70, 8, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        tiled, _ = tiled_attention(q, k, v)
    assert_close(tiled, naive_attention(q, k, v)[0])
    tiled.sum().backward()


def test_the_backward_pass_keeps_no_scores():
    q, k, v = random_qkv(1, 2, 64, 8)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        tiled_attention(q, k, v, tile=16)
    assert sum(tensor.untyped_storage().nbytes() for tensor in kept) < 6 * q.nbytes


def test_tiles_cover_a_length_once():
    assert [(part.start, part.stop) for part in tiles(7, 3)] == [(0, 3), (3, 6), (6, 7)]


def test_tiles_of_the_future_are_left_out():
    q, k = torch.zeros(1, 1, 4, 2), torch.zeros(1, 1, 10, 2)
    assert [part.stop for part in visible_tiles(slice(0, 2), q, k, 3)] == [3, 6, 8]
