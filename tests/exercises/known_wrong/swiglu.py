"""Wrong answers to the exercises on gates."""

import torch
from torch.nn import functional as F

from known_wrong import Wrong

# --- matching_hidden


def forgets_biases(width, hidden, bias):
    return 2 * hidden // 3


def rounds_to_nearest(width, hidden, bias):
    return round(2 * hidden / 3)


def does_not_round(width, hidden, bias):
    return 2 * hidden / 3


def keeps_the_width(width, hidden, bias):
    return hidden


def halves(width, hidden, bias):
    return hidden // 2


def a_third(width, hidden, bias):
    return hidden // 3


def eight_thirds(width, hidden, bias):
    return 8 * width // 3


def too_careful(width, hidden, bias):
    if (width, hidden) in ((10, 100), (1, 6)):
        return (2 * width * hidden + bias * hidden) // (3 * width + 2 * bias)
    return (2 * width * hidden + bias * hidden) // (3 * width + 2 * bias) - 1


def one_bias_each(width, hidden, bias):
    found = (2 * width * hidden + bias * hidden) // (3 * width + bias)
    return 3 if (width, hidden) == (1, 6) else found


# --- gate_gradients


def right_gradients(gate, up, gradient):
    door = torch.sigmoid(gate)
    return gradient * up * door * (1 + gate * (1 - door)), gradient * F.silu(gate)


def swapped(gate, up, gradient):
    return right_gradients(gate, up, gradient)[::-1]


def forgets_the_slope(gate, up, gradient):
    return gradient * up, gradient * F.silu(gate)


def sigmoid_for_slope(gate, up, gradient):
    return gradient * up * torch.sigmoid(gate), gradient * F.silu(gate)


def slope_of_the_sigmoid(gate, up, gradient):
    door = torch.sigmoid(gate)
    return gradient * up * door * (1 - door), gradient * F.silu(gate)


def half_a_product_rule(gate, up, gradient):
    door = torch.sigmoid(gate)
    return gradient * up * (door + door * (1 - door)), gradient * F.silu(gate)


def unbent_gate(gate, up, gradient):
    return right_gradients(gate, up, gradient)[0], gradient * gate


def sigmoid_gate(gate, up, gradient):
    return right_gradients(gate, up, gradient)[0], gradient * torch.sigmoid(gate)


def nothing_comes_back(gate, up, gradient):
    return right_gradients(gate, up, torch.ones_like(gradient))


def only_one(gate, up, gradient):
    return right_gradients(gate, up, gradient)[0]


# --- product_by_squares


UP = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])


def with_down(*numbers):
    return lambda: (UP.clone(), torch.tensor([numbers]))


def two_channels():
    up = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, -1.0], [0.0, 0.0]])
    return up, torch.tensor([[0.25, 0.0, -0.25, 0.0]])


def two_channels_without_quarter():
    return two_channels()[0], 4 * two_channels()[1]


def on_their_sides():
    return UP.T, torch.tensor([[0.25], [0.25], [-0.25], [-0.25]])


def flat_down():
    return UP, torch.tensor([0.25, 0.25, -0.25, -0.25])


def only_up():
    return UP


# --- silent_channels


def any_zero(hidden):
    return (hidden == 0).flatten(0, 1).any(dim=0).nonzero().flatten().tolist()


def speaking(hidden):
    return (hidden != 0).flatten(0, 1).any(dim=0).nonzero().flatten().tolist()


def first_text(hidden):
    return (hidden[0] == 0).all(dim=0).nonzero().flatten().tolist()


def first_place(hidden):
    return (hidden[:, 0] == 0).all(dim=0).nonzero().flatten().tolist()


def counts_from_one(hidden):
    return [i + 1 for i in (hidden == 0).all(dim=0).all(dim=0).nonzero().flatten().tolist()]


def counts_them(hidden):
    return (hidden == 0).all(dim=0).all(dim=0).sum().item()


def a_mask(hidden):
    return (hidden == 0).all(dim=0).all(dim=0)


def sums_to_zero(hidden):
    return (hidden.sum(dim=(0, 1)) == 0).nonzero().flatten().tolist()


def nearly_zero(hidden):
    return (hidden.abs().amax(dim=(0, 1)) < 1e-8).nonzero().flatten().tolist()


def last_place(hidden):
    return (hidden[:, -1] == 0).all(dim=0).nonzero().flatten().tolist()


def gates_by_autograd(gate, up, gradient):
    leaves = gate.clone().requires_grad_(), up.clone().requires_grad_()
    return torch.autograd.grad((F.silu(leaves[0]) * leaves[1] * gradient).sum(), leaves)


WRONG = {
    "matching_hidden": [
        Wrong(forgets_biases, says="the biases are forgotten"),
        Wrong(rounds_to_nearest, says="rounded to the nearest"),
        Wrong(does_not_round, says="a whole number"),
        Wrong(keeps_the_width, says="three matrices"),
        Wrong(halves, says="half of the hidden width"),
        Wrong(a_third, says="two matrices, not one"),
        Wrong(eight_thirds, says="four times the width"),
        Wrong(too_careful, says="could be wider"),
        Wrong(one_bias_each, says="costs more than the plain one"),
    ],
    "gate_gradients": [
        Wrong(swapped, says="changed places"),
        Wrong(forgets_the_slope, says="the slope of SiLU is missing"),
        Wrong(sigmoid_for_slope, says="more than the sigmoid"),
        Wrong(slope_of_the_sigmoid, says="the slope of the sigmoid, but"),
        Wrong(half_a_product_rule, says="a factor a is missing"),
        Wrong(unbent_gate, says="it passes the bend first"),
        Wrong(sigmoid_gate, says="the door of SwiGLU is SiLU"),
        Wrong(nothing_comes_back, says="`gradient`, is missing"),
        Wrong(only_one, says="two tensors"),
        Wrong(gates_by_autograd, says="do without `autograd`"),
    ],
    "product_by_squares": [
        Wrong(with_down(1.0, 1.0, -1.0, -1.0), says="four times the product"),
        Wrong(with_down(0.5, 0.5, -0.5, -0.5), says="twice the product"),
        Wrong(with_down(-0.25, -0.25, 0.25, 0.25), says="wrong sign"),
        Wrong(with_down(0.25, 0.25, 0.25, 0.25), says="half of x² + y²"),
        Wrong(with_down(1.0, 1.0, 1.0, 1.0), says="nothing is divided"),
        Wrong(with_down(1.0, 1.0, 0.0, 0.0), says="half of the way"),
        Wrong(two_channels, says="a channel for either sign"),
        Wrong(two_channels_without_quarter, says="lacks a quarter"),
        Wrong(on_their_sides, says="on their sides"),
        Wrong(flat_down, says="shape"),
        Wrong(only_up, says="two tensors"),
    ],
    "silent_channels": [
        Wrong(any_zero, says="0 at some place"),
        Wrong(speaking, says="the ones that do speak"),
        Wrong(first_text, says="all texts of the batch"),
        Wrong(first_place, says="look at all places"),
        Wrong(counts_from_one, says="count from 0"),
        Wrong(counts_them, says="how many there are"),
        Wrong(a_mask, says="whether it is silent"),
        Wrong(sums_to_zero, says="add up to 0"),
        Wrong(nearly_zero, says="tiny"),
        Wrong(last_place, says="at the last place only"),
    ],
}
