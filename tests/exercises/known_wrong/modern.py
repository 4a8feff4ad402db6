"""Wrong answers to the exercises on the modern GPT."""

import math
import statistics

import torch

from known_wrong import Wrong

# --- cubic_round


def cubes_the_numbers(x):
    return 1.5 * x - 0.5 * x**3


def adds_the_cube(x):
    return 1.5 * x + 0.5 * x @ x.T @ x


def forgets_the_half(x):
    return 3 * x - x @ x.T @ x


def halves_the_cube_only(x):
    return 3 * x - 0.5 * x @ x.T @ x


def halves_the_first_only(x):
    return 1.5 * x - x @ x.T @ x


def only_the_cube(x):
    return x @ x.T @ x


def divides_first(x):
    return 1.5 * x / x.norm() - 0.5 * (x @ x.T @ x) / x.norm() ** 3


def the_square(x):
    return x @ x.T


def exact(x):
    U, _, Vt = torch.linalg.svd(x, full_matrices=False)
    return U @ Vt


# --- for_muon


def all_in_blocks(shapes):
    return [name for name in shapes if name.startswith("blocks.")]


def all_matrices(shapes):
    return [name for name, shape in shapes.items() if len(shape) == 2]


def right_names(shapes):
    return [name for name, shape in shapes.items() if name.startswith("blocks.") and len(shape) == 2]


def with_the_head(shapes):
    return right_names(shapes) + [name for name in shapes if name == "lm_head.weight"]


def with_the_tokens(shapes):
    return [name for name in shapes if name == "token_embedding.weight"] + right_names(shapes)


def attention_only(shapes):
    return [name for name in right_names(shapes) if "attention" in name]


def mlp_only(shapes):
    return [name for name in right_names(shapes) if "mlp" in name]


def squares_only(shapes):
    return [name for name in right_names(shapes) if shapes[name][0] == shapes[name][1]]


def the_others(shapes):
    return [name for name in shapes if name not in right_names(shapes)]


def how_many(shapes):
    return len(right_names(shapes))


def a_set(shapes):
    return set(right_names(shapes))


# --- rival_hidden


def width_for(target, V, L, C, D, *, price=2, layers=None, without=0):
    rest = 2 * V * C + C + L * (4 * C * C + 2 * C + 2 * D) - without
    return (target - rest) / (price * C * (L if layers is None else layers))


def rounds_down(target, vocab_size, n_layer, n_embd, head_dim):
    return math.floor(width_for(target, vocab_size, n_layer, n_embd, head_dim))


def does_not_round(target, vocab_size, n_layer, n_embd, head_dim):
    return width_for(target, vocab_size, n_layer, n_embd, head_dim)


def three_matrices(target, vocab_size, n_layer, n_embd, head_dim):
    return round(width_for(target, vocab_size, n_layer, n_embd, head_dim, price=3))


def one_matrix(target, vocab_size, n_layer, n_embd, head_dim):
    return round(width_for(target, vocab_size, n_layer, n_embd, head_dim, price=1))


def one_layer(target, vocab_size, n_layer, n_embd, head_dim):
    return round(width_for(target, vocab_size, n_layer, n_embd, head_dim, layers=1))


def without(part):
    def answer(target, vocab_size, n_layer, n_embd, head_dim):
        V, L, C, D = vocab_size, n_layer, n_embd, head_dim
        return round(width_for(target, V, L, C, D, without=part(V, L, C, D)))

    return answer


# --- paired_difference


def differences_of(changed, baseline):
    return [changed[seed] - baseline[seed] for seed in sorted(changed.keys() & baseline.keys())]


def error_of(differences):
    return statistics.stdev(differences) / math.sqrt(len(differences))


def turned(changed, baseline):
    differences = differences_of(changed, baseline)
    return -statistics.mean(differences), error_of(differences)


def unpaired(changed, baseline):
    seeds = changed.keys() & baseline.keys()
    spreads = [statistics.variance([group[seed] for seed in seeds]) for group in (changed, baseline)]
    return statistics.mean(differences_of(changed, baseline)), math.sqrt(sum(spreads) / len(seeds))


def with_error(error):
    def answer(changed, baseline):
        differences = differences_of(changed, baseline)
        return statistics.mean(differences), error(differences)

    return answer


def in_order(changed, baseline):
    differences = [x - y for x, y in zip(changed.values(), baseline.values(), strict=True)]
    return statistics.mean(differences), error_of(differences)


def all_seeds(changed, baseline):
    mean = statistics.mean(changed.values()) - statistics.mean(baseline.values())
    return mean, error_of(differences_of(changed, baseline))


def only_the_mean(changed, baseline):
    return statistics.mean(differences_of(changed, baseline))


def by_singular_values(x):
    u, s, v = torch.linalg.svd(x, full_matrices=False)
    return u @ torch.diag((3 * s - s**3) / 2) @ v


WRONG = {
    "cubic_round": [
        Wrong(cubes_the_numbers, says="each number is cubed by itself"),
        Wrong(adds_the_cube, says="subtracted"),
        Wrong(forgets_the_half, says="the half is missing"),
        Wrong(halves_the_cube_only, says="only the cube is halved"),
        Wrong(halves_the_first_only, says="only the first term is halved"),
        Wrong(only_the_cube, says="the cube alone"),
        Wrong(the_square, says="multiply by the matrix once more"),
        Wrong(divides_first, says="divided by its size first"),
        Wrong(exact, says="only one round"),
        Wrong(by_singular_values, says="do without `svd`"),
    ],
    "for_muon": [
        Wrong(all_in_blocks, says="they are vectors"),
        Wrong(all_matrices, says="embeddings and head are among them"),
        Wrong(with_the_head, says="the head is among them"),
        Wrong(with_the_tokens, says="the table of tokens is among them"),
        Wrong(attention_only, says="the matrices of the MLP"),
        Wrong(mlp_only, says="the matrices of attention"),
        Wrong(squares_only, says="only the square matrices"),
        Wrong(the_others, says="stay with AdamW"),
        Wrong(how_many, says="how many there are"),
        Wrong(a_set, says="a list of names"),
    ],
    "rival_hidden": [
        Wrong(rounds_down, says="one channel more would come nearer"),
        Wrong(does_not_round, says="a whole number"),
        Wrong(three_matrices, says="ReLU² has two"),
        Wrong(one_matrix, says="a column in `up` and a row in `down`"),
        Wrong(one_layer, says="in one layer only"),
        Wrong(without(lambda V, L, C, D: V * C), says="the head is forgotten"),
        Wrong(without(lambda V, L, C, D: 4 * L * C * C), says="attention is forgotten"),
        Wrong(without(lambda V, L, C, D: 4 * (L - 1) * C * C), says="attention is counted once"),
        Wrong(without(lambda V, L, C, D: L * C * C), says="not the matrix that comes after"),
        Wrong(without(lambda V, L, C, D: 2 * L * C), says="the norms of the blocks"),
        Wrong(without(lambda V, L, C, D: 2 * L * D), says="QK-norm"),
        Wrong(without(lambda V, L, C, D: C), says="the last norm"),
    ],
    "paired_difference": [
        Wrong(turned, says="the sign is turned"),
        Wrong(unpaired, says="the pairs are lost"),
        Wrong(with_error(statistics.stdev), says="this is the standard deviation"),
        Wrong(with_error(lambda d: statistics.stdev(d) / len(d)), says="divided by n, not by the root"),
        Wrong(with_error(lambda d: statistics.pstdev(d) / math.sqrt(len(d))), says="where n - 1 belongs"),
        Wrong(with_error(lambda d: statistics.variance(d) / len(d)), says="variance of the mean"),
        Wrong(in_order, says="in the order of the dictionaries"),
        Wrong(all_seeds, says="seeds that only one of them has"),
        Wrong(only_the_mean, says="two numbers"),
    ],
}
