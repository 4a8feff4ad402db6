"""Position schemes: what they add, and to which place."""

import math

import pytest
import torch
from torch.testing import assert_close

from minigpt import LearnedPositionEmbedding, SinusoidalPositionEmbedding, UserError
from minigpt.model.position import ALiBi, PositionEmbedding, RotaryEmbedding, sinusoidal_table


def test_learned_position_adds_a_row_to_each_place():
    position = LearnedPositionEmbedding(5, 3)
    x = torch.randn(2, 4, 3)
    assert_close(position(x) - x, position.table.weight[:4].expand(2, 4, 3))


def test_learned_position_learns_only_the_places_it_saw():
    position = LearnedPositionEmbedding(5, 3)
    position(torch.zeros(1, 2, 3)).sum().backward()
    assert position.table.weight.grad[:2].eq(1).all() and position.table.weight.grad[2:].eq(0).all()


@pytest.mark.parametrize("width", [1, 6, 7])
def test_sinusoids_are_the_formula(width):
    table = sinusoidal_table(9, width)
    for time in range(9):
        for channel in range(width):
            angle = time / 10_000 ** (2 * (channel // 2) / width)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert table[time, channel].item() == pytest.approx(expected, abs=1e-5)


def test_sinusoids_tell_places_apart():
    table = sinusoidal_table(256, 16)
    assert (torch.cdist(table, table) + 10 * torch.eye(256)).min() > 0.1


def test_sinusoidal_position_is_neither_trained_nor_saved():
    position = SinusoidalPositionEmbedding(5, 4)
    assert not list(position.parameters())
    assert not position.state_dict()
    assert_close(position(torch.zeros(1, 3, 4))[0], sinusoidal_table(5, 4)[:3])


def test_sinusoidal_position_is_not_louder_than_the_embeddings():
    x = torch.randn(2, 3, 4)
    position = SinusoidalPositionEmbedding(5, 4)
    assert_close(position(x) - position(torch.zeros_like(x)), 2 * x)


def test_no_position_changes_nothing():
    x = torch.randn(2, 4, 3)
    position = PositionEmbedding()
    assert position(x) is x and position.apply_rotary(x) is x and position.attn_bias(4, 4) is None


@pytest.mark.parametrize("position", [LearnedPositionEmbedding(9, 4), SinusoidalPositionEmbedding(9, 4)])
def test_a_later_start_takes_later_places(position):
    x = torch.randn(2, 9, 4)
    assert_close(torch.cat((position(x[:, :5]), position(x[:, 5:], offset=5)), dim=1), position(x))


def test_rotation_is_a_product_of_complex_numbers():
    position, x = RotaryEmbedding(9, 6), torch.randn(2, 3, 9, 6, dtype=torch.float64)
    frequency = 10_000 ** (-2 * torch.arange(3, dtype=torch.float64) / 6)
    angles = torch.arange(9).unsqueeze(1) * frequency
    pairs = torch.complex(x[..., :3], x[..., 3:]) * torch.polar(torch.ones_like(angles), angles)
    assert_close(position.apply_rotary(x), torch.cat((pairs.real, pairs.imag), dim=-1), atol=1e-5, rtol=1e-5)


def test_rotation_keeps_lengths_and_the_first_place():
    position, x = RotaryEmbedding(20, 8), torch.randn(1, 2, 20, 8)
    turned = position.apply_rotary(x)
    assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, :, 0], x[:, :, 0])


def test_a_rotated_score_depends_on_the_distance_alone():
    position = RotaryEmbedding(30, 8)
    q, k = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 30, 8)
    scores = (position.apply_rotary(q) @ position.apply_rotary(k).mT)[0, 0]
    for distance in range(-29, 30):
        along = scores.diagonal(distance)
        assert_close(along, along[:1].expand_as(along), atol=1e-5, rtol=1e-5)
    assert scores[0].std() > 0.1


def test_rotation_goes_on_from_a_later_start():
    position, x = RotaryEmbedding(9, 4), torch.randn(1, 2, 9, 4)
    assert_close(
        torch.cat((position.apply_rotary(x[:, :, :5]), position.apply_rotary(x[:, :, 5:], 5)), dim=2),
        position.apply_rotary(x),
    )


def test_stretched_places_take_the_angles_between():
    x = torch.randn(1, 1, 9, 4)
    assert_close(
        RotaryEmbedding(9, 4, scaling_factor=2).apply_rotary(x)[:, :, ::2],
        RotaryEmbedding(5, 4).apply_rotary(x[:, :, ::2]),
    )


def test_a_larger_base_turns_all_but_the_first_pair_more_slowly():
    slow, usual = RotaryEmbedding(2, 6, base=1e6), RotaryEmbedding(2, 6)
    assert slow.cosine[1, 0] == usual.cosine[1, 0]
    assert (slow.sine[1, 4:] < usual.sine[1, 4:]).all()


def test_an_odd_head_cannot_be_rotated():
    with pytest.raises(UserError, match=r"n_embd / n_head = 3 is odd; make it even"):
        RotaryEmbedding(4, 3)


def test_the_bias_falls_with_the_distance():
    bias = ALiBi(8).attn_bias(4, 4)
    for head in range(8):
        for query in range(4):
            for key in range(query + 1):
                assert bias[head, query, key].item() == -(2.0 ** -(head + 1)) * (query - key)


def test_fewer_queries_get_the_last_rows_of_the_bias():
    position = ALiBi(3)
    assert torch.equal(position.attn_bias(2, 5), position.attn_bias(5, 5)[:, -2:])
