"""Gradients added up piece by piece are those of the whole batch, whatever the pieces are."""

import pytest
import torch

from minigpt import cross_entropy, get_batch
from minigpt.training.trainer import IGNORE_INDEX, count_targets, forward_backward


@pytest.fixture
def batch(data) -> tuple[torch.Tensor, torch.Tensor]:
    return get_batch(data.train, 7, 8, torch.Generator().manual_seed(0))


def gradients(model) -> list[torch.Tensor]:
    found = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    return found


@pytest.mark.parametrize("pieces", [1, 2, 3, 7])
def test_pieces_of_unequal_size_give_the_gradient_of_the_batch(model, batch, pieces):
    inputs, targets = batch
    expected = cross_entropy(model(inputs), targets)
    expected.backward()
    whole = gradients(model)
    loss = forward_backward(model, inputs, targets, pieces)
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(gradients(model), whole, rtol=1e-5, atol=1e-7)


def test_pieces_with_unequal_numbers_of_targets_give_the_gradient_of_the_batch(model, batch):
    inputs, targets = batch
    targets[0, 1:] = IGNORE_INDEX
    targets[3, 5:] = IGNORE_INDEX
    targets[5:] = IGNORE_INDEX  # the last piece has nothing to predict at all
    assert count_targets(targets) == 4 * 8 - 7 + 8 - 3 - 0
    cross_entropy(model(inputs), targets).backward()
    whole = gradients(model)
    forward_backward(model, inputs, targets, 3)
    torch.testing.assert_close(gradients(model), whole, rtol=1e-5, atol=1e-7)


def test_one_piece_is_the_plain_step_to_the_bit(model, batch):
    inputs, targets = batch
    expected = cross_entropy(model(inputs), targets)
    expected.backward()
    whole = gradients(model)
    assert forward_backward(model, inputs, targets, 1) == expected.item()
    assert all(torch.equal(*pair) for pair in zip(gradients(model), whole, strict=True))


def test_gradients_are_added_to_those_that_are_there(model, batch):
    forward_backward(model, *batch, 2)
    once = [parameter.grad.clone() for parameter in model.parameters()]
    forward_backward(model, *batch, 2)
    twice = gradients(model)
    torch.testing.assert_close(twice, [2 * gradient for gradient in once])
