"""Position schemes: what they add, and to which place."""

import math

import pytest
import torch
from torch.testing import assert_close

from minigpt import LearnedPosition, SinusoidalPosition
from minigpt.position import POSITIONS, sinusoids


def test_learned_position_adds_a_row_to_each_place():
    position = LearnedPosition(5, 3)
    x = torch.randn(2, 4, 3)
    assert_close(position(x) - x, position.table.weight[:4].expand(2, 4, 3))


def test_learned_position_learns_only_the_places_it_saw():
    position = LearnedPosition(5, 3)
    position(torch.zeros(1, 2, 3)).sum().backward()
    assert position.table.weight.grad[:2].eq(1).all() and position.table.weight.grad[2:].eq(0).all()


@pytest.mark.parametrize("width", [1, 6, 7])
def test_sinusoids_are_the_formula(width):
    table = sinusoids(9, width)
    for time in range(9):
        for channel in range(width):
            angle = time / 10_000 ** (2 * (channel // 2) / width)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert table[time, channel].item() == pytest.approx(expected, abs=1e-5)


def test_sinusoids_tell_places_apart():
    table = sinusoids(256, 16)
    assert (torch.cdist(table, table) + 10 * torch.eye(256)).min() > 0.1


def test_sinusoidal_position_is_neither_trained_nor_saved():
    position = SinusoidalPosition(5, 4)
    assert not list(position.parameters())
    assert not position.state_dict()
    assert_close(position(torch.zeros(1, 3, 4))[0], sinusoids(5, 4)[:3])


def test_sinusoidal_position_is_not_louder_than_the_embeddings():
    x = torch.randn(2, 3, 4)
    position = SinusoidalPosition(5, 4)
    assert_close(position(x) - position(torch.zeros_like(x)), 2 * x)


def test_no_position_changes_nothing():
    x = torch.randn(2, 4, 3)
    assert torch.equal(POSITIONS["none"](5, 3)(x), x)
