"""Wrong answers to the exercises on scaling laws."""

import math

from known_wrong import Wrong


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


WRONG = {
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
    ],
}
