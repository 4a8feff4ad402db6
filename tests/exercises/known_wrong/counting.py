"""Wrong answers to the exercises on counting and on scaling laws."""

import math

from known_wrong import Wrong


def widest(fits, step=16):
    width = 0
    while fits(width + step):
        width += step
    return width


def forgets_the_tables(parameters, n_layer, vocab_size):
    return widest(lambda width: 12 * n_layer * width**2 <= parameters)


def counts_one_table(parameters, n_layer, vocab_size):
    return widest(lambda width: 12 * n_layer * width**2 + vocab_size * width <= parameters)


def takes_any_width(parameters, n_layer, vocab_size):
    return widest(lambda width: 12 * n_layer * width**2 + 2 * vocab_size * width <= parameters, step=1)


def rounds_up(parameters, n_layer, vocab_size):
    return widest(lambda width: 12 * n_layer * width**2 + 2 * vocab_size * width <= parameters) + 16


def forgets_the_mlp(parameters, n_layer, vocab_size):
    return widest(lambda width: 4 * n_layer * width**2 + 2 * vocab_size * width <= parameters)


def counts_one_block(parameters, n_layer, vocab_size):
    return widest(lambda width: 12 * width**2 + 2 * vocab_size * width <= parameters)


def stops_before_the_budget(parameters, n_layer, vocab_size):
    return widest(lambda width: 12 * n_layer * width**2 + 2 * vocab_size * width < parameters)


def insists_on_sixteen(parameters, n_layer, vocab_size):
    return max(16, widest(lambda width: 12 * n_layer * width**2 + 2 * vocab_size * width <= parameters))


def forgets_the_weights(B, T, C, F, L, H):
    return B * T * (L * (8 * C + 2 * F) + 2 * C)


def one_head(B, T, C, F, L, H):
    return forgets_the_weights(B, T, C, F, L, H) + L * B * T * T


def one_sequence(B, T, C, F, L, H):
    return forgets_the_weights(B, T, C, F, L, H) + L * H * T * T


def weights_once(B, T, C, F, L, H):
    return forgets_the_weights(B, T, C, F, L, H) + B * H * T * T


def forgets_the_last_norm(B, T, C, F, L, H):
    return L * (B * T * (8 * C + 2 * F) + B * H * T * T)


def one_for_q_k_and_v(B, T, C, F, L, H):
    return B * T * (L * (6 * C + 2 * F) + 2 * C) + L * B * H * T * T


def hidden_once(B, T, C, F, L, H):
    return B * T * (L * (8 * C + F) + 2 * C) + L * B * H * T * T


def one_token(B, T, C, F, L, H):
    return L * (8 * C + 2 * F + H * T) + 2 * C


def one_block(B, T, C, F, L, H):
    return B * T * (8 * C + 2 * F + 2 * C) + B * H * T * T


def gives_bytes(B, T, C, F, L, H):
    return 4 * (forgets_the_weights(B, T, C, F, L, H) + L * B * H * T * T)


def operations(tokens, n_layer, width, vocab_size, time, passes=3, per=2, head=1, attention=1.0):
    matrices = 12 * n_layer * width**2 + head * vocab_size * width
    return tokens * passes * (per * matrices + attention * 4 * time * width * n_layer)


def forward_only(*sizes):
    return operations(*sizes, passes=1)


def backward_like_forward(*sizes):
    return operations(*sizes, passes=2)


def six_per_parameter(*sizes):
    return operations(*sizes, attention=0)


def forgets_the_head(*sizes):
    return operations(*sizes, head=0)


def multiplies_the_embedding(*sizes):
    return operations(*sizes, head=2)


def one_per_parameter(*sizes):
    return operations(*sizes, per=1)


def attention_once(tokens, n_layer, *sizes):
    return operations(tokens, n_layer, *sizes, attention=1 / n_layer)


def scores_only(*sizes):
    return operations(*sizes, attention=0.5)


def forgets_the_tokens(tokens, *sizes):
    return operations(1, *sizes)


def line(x, y):
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    slope /= sum((a - middle_x) ** 2 for a in x)
    return middle_y - slope * middle_x, slope


def logs(values, log=math.log):
    return [log(value) for value in values]


def keeps_the_sign(sizes, losses):
    height, slope = line(logs(sizes), logs(losses))
    return math.exp(height), slope


def keeps_the_logarithm(sizes, losses):
    height, slope = line(logs(sizes), logs(losses))
    return height, -slope


def mixes_the_bases(sizes, losses):
    height, slope = line(logs(sizes, math.log10), logs(losses, math.log10))
    return math.exp(height), -slope


def takes_no_logarithms(sizes, losses):
    height, slope = line(sizes, losses)
    return height, -slope


def takes_one_logarithm(sizes, losses):
    height, slope = line(logs(sizes), losses)
    return height, -slope


def swaps_a_and_alpha(sizes, losses):
    height, slope = line(logs(sizes), logs(losses))
    return -slope, math.exp(height)


def uses_the_ends(sizes, losses):
    height, slope = line(logs([sizes[0], sizes[-1]]), logs([losses[0], losses[-1]]))
    return math.exp(height), -slope


def goes_through_the_origin(sizes, losses):
    x, y = logs(sizes), logs(losses)
    return 1.0, -sum(a * b for a, b in zip(x, y, strict=True)) / sum(a * a for a in x)


def returns_alpha_only(sizes, losses):
    return -line(logs(sizes), logs(losses))[1]


def split(product, A, B, alpha, beta):
    N = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * product ** (beta / (alpha + beta))
    return N, product / N


def swaps_n_and_d(operations, A, B, alpha, beta):
    N, D = split(operations / 6, A, B, alpha, beta)
    return D, N


def swaps_the_exponents(operations, A, B, alpha, beta):
    N = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (operations / 6) ** (alpha / (alpha + beta))
    return N, operations / 6 / N


def forgets_the_factor(operations, A, B, alpha, beta):
    N = (operations / 6) ** (beta / (alpha + beta))
    return N, operations / 6 / N


def equates_the_terms(operations, A, B, alpha, beta):
    N = (A / B) ** (1 / (alpha + beta)) * (operations / 6) ** (beta / (alpha + beta))
    return N, operations / 6 / N


def halves_the_logarithm(operations, A, B, alpha, beta):
    return math.sqrt(operations / 6), math.sqrt(operations / 6)


def forgets_the_six(operations, A, B, alpha, beta):
    return split(operations, A, B, alpha, beta)


def returns_n_only(operations, A, B, alpha, beta):
    return split(operations / 6, A, B, alpha, beta)[0]


def answers_with_logs(operations, A, B, alpha, beta):
    product = operations / 6
    N = (alpha * A / (beta * B) * product**beta) ** (1 / (alpha + beta))
    return math.log(N), math.log(product / N)


def a_coarse_grid(operations, A, B, alpha, beta):
    sizes = [7.0**power for power in range(4, 9)]
    N = min(sizes, key=lambda size: A / size**alpha + B / (operations / 6 / size) ** beta)
    return N, operations / 6 / N


WRONG = {
    "widest_model": [
        Wrong(forgets_the_tables, says="the token embedding and the head are left out"),
        Wrong(counts_one_table, says="only one of the two tables"),
        Wrong(takes_any_width, says="not a multiple of 16"),
        Wrong(rounds_up, says="exceeds the budget"),
        Wrong(forgets_the_mlp, says="the blocks are too small"),
        Wrong(counts_one_block, says="one block only"),
        Wrong(stops_before_the_budget, says="meets the budget exactly"),
        Wrong(insists_on_sixteen, says="the answer is 0"),
    ],
    "activation_numbers": [
        Wrong(forgets_the_weights, says="the attention weights are missing"),
        Wrong(one_head, says="every head"),
        Wrong(one_sequence, says="every sequence"),
        Wrong(weights_once, says="in every block, not once"),
        Wrong(forgets_the_last_norm, says="the last norm is missing"),
        Wrong(one_for_q_k_and_v, says="q, k and v"),
        Wrong(hidden_once, says="its hidden layer twice"),
        Wrong(one_token, says="for one token"),
        Wrong(one_block, says="for one block only"),
        Wrong(gives_bytes, says="these are bytes"),
    ],
    "training_operations": [
        Wrong(forward_only, says="forward pass only"),
        Wrong(backward_like_forward, says="two forward passes"),
        Wrong(six_per_parameter, says="attention is missing"),
        Wrong(forgets_the_head, says="the head is missing"),
        Wrong(multiplies_the_embedding, says="looked up, not multiplied"),
        Wrong(one_per_parameter, says="two operations per token"),
        Wrong(attention_once, says="in every block"),
        Wrong(scores_only, says="attention multiplies twice"),
        Wrong(forgets_the_tokens, says="a single token"),
    ],
    "fit_power_law": [
        Wrong(keeps_the_sign, says="the wrong sign"),
        Wrong(keeps_the_logarithm, says="this is ln a"),
        Wrong(mixes_the_bases, says="base 10"),
        Wrong(takes_no_logarithms, says="the numbers themselves"),
        Wrong(takes_one_logarithm, says="the losses need a logarithm too"),
        Wrong(swaps_a_and_alpha, says="swapped"),
        Wrong(uses_the_ends, says="the first and the last point"),
        Wrong(goes_through_the_origin, says="forced through the origin"),
        Wrong(returns_alpha_only, says="return a, alpha"),
    ],
    "optimal_split": [
        Wrong(swaps_n_and_d, says="swapped"),
        Wrong(swaps_the_exponents, says="the wrong way round"),
        Wrong(forgets_the_factor, says="factor G is missing"),
        Wrong(equates_the_terms, says="made equal"),
        Wrong(halves_the_logarithm, says="half the logarithm"),
        Wrong(forgets_the_six, says="6 operations together"),
        Wrong(returns_n_only, says="return N, D"),
        Wrong(answers_with_logs, says="these are logarithms"),
        Wrong(a_coarse_grid, says="bring it to"),
    ],
}
