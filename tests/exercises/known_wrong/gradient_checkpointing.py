"""Wrong answers to the exercises on gradient checkpointing."""

import torch

from known_wrong import Wrong


def up(number, size):
    return -(-number // size)


# --- worst_moment


def forgets_the_inputs(n_layer, segment, inside=16):
    return min(segment, n_layer) * inside


def forgets_the_insides(n_layer, segment, inside=16):
    return up(n_layer, segment)


def counts_all_insides(n_layer, segment, inside=16):
    return up(n_layer, segment) + n_layer * inside


def counts_every_input(n_layer, segment, inside=16):
    return n_layer + min(segment, n_layer) * inside


def insides_of_one_block(n_layer, segment, inside=16):
    return up(n_layer, segment) + inside


def multiplies(n_layer, segment, inside=16):
    return up(n_layer, segment) * segment * inside


def rounds_down(n_layer, segment, inside=16):
    return n_layer // segment + min(segment, n_layer) * inside


def does_not_round(n_layer, segment, inside=16):
    return n_layer / segment + min(segment, n_layer) * inside


def piece_longer_than_the_chain(n_layer, segment, inside=16):
    return up(n_layer, segment) + segment * inside


# --- gradient_again


def fresh_start(x):
    return x.detach().clone().requires_grad_()


def leaves_out_dy(function, x, dy):
    x = fresh_start(x)
    with torch.enable_grad():
        function(x).sum().backward()
    return x.grad


def returns_dy(function, x, dy):
    return dy.clone()


def returns_the_result(function, x, dy):
    return function(x)


def multiplies_dy(function, x, dy):
    x = fresh_start(x)
    with torch.enable_grad():
        total = function(x).sum()
    return dy * torch.autograd.grad(total, x)[0]


def forgets_the_parameters(function, x, dy):
    x = fresh_start(x)
    with torch.enable_grad():
        y = function(x)
    return torch.autograd.grad(y, x, dy)[0]


def stays_without_autograd(function, x, dy):
    x = fresh_start(x)
    y = function(x)
    y.backward(dy)
    return x.grad


def runs_it_twice(function, x, dy):
    x = fresh_start(x)
    with torch.enable_grad():
        function(x)
        function(x).backward(dy)
    return x.grad


def clears_the_parameters(function, x, dy):
    function.zero_grad()
    x = fresh_start(x)
    with torch.enable_grad():
        function(x).backward(dy)
    return x.grad


def keeps_the_past(function, x, dy):
    if not x.requires_grad:
        x = fresh_start(x)
    x.retain_grad()
    with torch.enable_grad():
        function(x).backward(dy)
    return x.grad


def uses_x_itself(function, x, dy):
    if not x.is_leaf:
        x = fresh_start(x)
    x.requires_grad_()
    with torch.enable_grad():
        function(x).backward(dy)
    return x.grad


# --- run_twice


def draws_anew(function, x):
    return function(x), function(x)


def seeds_both(function, x):
    torch.manual_seed(0)
    first = function(x)
    torch.manual_seed(0)
    return first, function(x)


def rewinds_afterwards(function, x):
    with torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()
        first = function(x)
        torch.set_rng_state(state)
        second = function(x)
    return first, second


def leaves_the_second_state(function, x):
    state = torch.get_rng_state()
    first = function(x)
    torch.set_rng_state(state)
    return first, function(x)


def runs_once(function, x):
    result = function(x)
    return result, result


def returns_one(function, x):
    return [function(x)]


# --- extra_time


def parts(width, hidden, length):
    return {"attention": 4 * width**2 + 2 * length * width, "mlp": 2 * width * hidden}


def priced(step=lambda forward, added: 3 * forward, cost=parts, offset=0.0):
    def extra(width, hidden, length, again):
        costs = cost(width, hidden, length)
        added = sum(costs[part] for part in again)
        return offset + added / step(sum(costs.values()), added)

    return extra


def other_part(width, hidden, length, again):
    costs = parts(width, hidden, length)
    added = sum(cost for part, cost in costs.items() if part not in again)
    return added / (3 * sum(costs.values()))


def no_scores(width, hidden, length):
    return parts(width, hidden, 0)


def half_an_mlp(width, hidden, length):
    return parts(width, hidden / 2, length)


def always_a_third(width, hidden, length, again):
    return 1 / 3


def halves_the_scores(width, hidden, length, again):
    if again == {"mlp"}:
        return priced()(width, hidden, length, again)
    return priced(cost=no_scores)(width, hidden, length, again)


# --- fewest_checkpoints


def searched(fits):
    def fewest(n_layer, whole, part, limit):
        found = (k for k in range(n_layer + 1) if fits(k, n_layer, whole, part, limit))
        return next(found, n_layer)

    return fewest


def needed(k, n_layer, whole, part):
    return max(k * part + (n_layer - k) * whole, k * part + whole if k else 0)


one_too_few = searched(lambda k, n, whole, part, limit: needed(min(k + 1, n - 1), n, whole, part) <= limit)


one_too_many = searched(lambda k, n, whole, part, limit: k > 0 and needed(k - 1, n, whole, part) <= limit)


strictly_below = searched(lambda k, n, whole, part, limit: needed(k, n, whole, part) < limit)


inputs_are_free = searched(lambda k, n, whole, part, limit: (n - k) * whole <= limit)


def counts_the_others(n_layer, whole, part, limit):
    right = searched(lambda k, n, whole, part, limit: needed(k, n, whole, part) <= limit)
    return n_layer - right(n_layer, whole, part, limit)


def gives_a_float(n_layer, whole, part, limit):
    right = searched(lambda k, n, whole, part, limit: needed(k, n, whole, part) <= limit)
    return float(right(n_layer, whole, part, limit))


def makes_x_a_leaf(function, x, dy):
    with torch.enable_grad():
        x.requires_grad_()
        torch.autograd.backward(function(x), dy)
    return x.grad if x.is_leaf else None


WRONG = {
    "worst_moment": [
        Wrong(forgets_the_inputs, says="inputs of the pieces are missing"),
        Wrong(forgets_the_insides, says="that is run again are missing"),
        Wrong(counts_all_insides, says="only one piece is run again"),
        Wrong(counts_every_input, says="every block's input"),
        Wrong(insides_of_one_block, says="for one block only"),
        Wrong(multiplies, says="multiplied"),
        Wrong(rounds_down, says="a third piece"),
        Wrong(does_not_round, says="pieces are whole"),
        Wrong(piece_longer_than_the_chain, says="no more blocks than there are"),
    ],
    "gradient_again": [
        Wrong(leaves_out_dy, says="`dy` is left out"),
        Wrong(returns_dy, says="`dy` itself"),
        Wrong(returns_the_result, says="not a gradient"),
        Wrong(multiplies_dy, says="`dy` is multiplied"),
        Wrong(forgets_the_parameters, says="parameters got none"),
        Wrong(stays_without_autograd, says="does not require grad"),
        Wrong(runs_it_twice, says="once is enough"),
        Wrong(clears_the_parameters, says="must add"),
        Wrong(keeps_the_past, says="into the past of x"),
        Wrong(uses_x_itself, says="added to x itself"),
        Wrong(makes_x_a_leaf, says="made a leaf"),
    ],
    "run_twice": [
        Wrong(draws_anew, says="different random numbers"),
        Wrong(seeds_both, says="set no seed"),
        Wrong(rewinds_afterwards, says="afterwards, other random numbers"),
        Wrong(leaves_the_second_state, says="if the second run draws fewer"),
        Wrong(runs_once, says="twice, not 1"),
        Wrong(returns_one, says="not 1"),
    ],
    "extra_time": [
        Wrong(priced(lambda forward, added: forward), says="has a backward pass"),
        Wrong(priced(lambda forward, added: 2 * forward), says="not two"),
        Wrong(priced(offset=1.0), says="only what is added"),
        Wrong(priced(cost=no_scores), says="scores are missing"),
        Wrong(priced(cost=half_an_mlp), says="two matrices"),
        Wrong(other_part, says="running attention again"),
        Wrong(always_a_third, says="the whole block"),
        Wrong(priced(lambda forward, added: 3 * forward + added), says="the step with it"),
        Wrong(halves_the_scores, says="4C² and 2TC"),
    ],
    "fewest_checkpoints": [
        Wrong(one_too_few, says="too few"),
        Wrong(one_too_many, says="too many"),
        Wrong(strictly_below, says="met exactly"),
        Wrong(inputs_are_free, says="still holds"),
        Wrong(counts_the_others, says="that keep everything"),
        Wrong(gives_a_float, says="an integer"),
    ],
}
