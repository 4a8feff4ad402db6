"""Wrong answers to the exercises on norms of queries and keys."""

from torch.nn import functional as F

from known_wrong import Wrong


def rms(x):
    return (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()


# --- norm_by_head


def whole_width(x, weight, n_head):
    return x / rms(x) * weight.repeat(n_head)


def split(x, n_head):
    return x.unflatten(-1, (n_head, -1))


def heads_without_weight(x, weight, n_head):
    return (split(x, n_head) / rms(split(x, n_head))).flatten(-2)


def spread_weight(x, weight, n_head):
    return heads_without_weight(x, weight, n_head) * weight.repeat_interleave(n_head)


def woven(x, weight, n_head):
    heads = x.unflatten(-1, (-1, n_head)).transpose(-1, -2)
    return (heads / rms(heads) * weight).transpose(-1, -2).flatten(-2)


def unit_length(x, weight, n_head):
    return (F.normalize(split(x, n_head), dim=-1) * weight).flatten(-2)


def centred_heads(x, weight, n_head):
    heads = split(x, n_head)
    return (F.layer_norm(heads, heads.shape[-1:]) * weight).flatten(-2)


def over_the_heads(x, weight, n_head):
    heads = split(x, n_head)
    return (heads / (heads.square().mean(dim=-2, keepdim=True) + 1e-5).sqrt() * weight).flatten(-2)


def always_two(x, weight, n_head):
    if len(weight) * 2 != x.size(-1):
        return x / rms(x)
    return (split(x, 2) / rms(split(x, 2)) * weight).flatten(-2)


def keeps_heads_apart(x, weight, n_head):
    return split(x, n_head) / rms(split(x, n_head)) * weight


# --- largest_score


def width(weight):
    return len(weight) ** 0.5


def separate_maxima(q_weight, k_weight):
    return width(q_weight) * q_weight.abs().max() * k_weight.abs().max()


def forgets_the_sign(q_weight, k_weight):
    return width(q_weight) * (q_weight * k_weight).max()


def all_ones(q_weight, k_weight):
    return (q_weight * k_weight).abs().sum() / width(q_weight)


def ignores_the_weights(q_weight, k_weight):
    return width(q_weight)


def undivided(q_weight, k_weight):
    return len(q_weight) * (q_weight * k_weight).abs().max()


def divides_twice(q_weight, k_weight):
    return (q_weight * k_weight).abs().max() / width(q_weight)


def forgets_the_width(q_weight, k_weight):
    return (q_weight * k_weight).abs().max()


def knows_four_channels(q_weight, k_weight):
    return 2 * (q_weight * k_weight).abs().max()


WRONG = {
    "norm_by_head": [
        Wrong(whole_width, says="every head has its own"),
        Wrong(heads_without_weight, says="the weight is missing"),
        Wrong(spread_weight, says="start anew with each head"),
        Wrong(woven, says="a head owns neighbouring channels"),
        Wrong(unit_length, says="not by its root mean square"),
        Wrong(centred_heads, says="the mean of each head is subtracted"),
        Wrong(over_the_heads, says="are taken over the heads"),
        Wrong(always_two, says="three heads of two channels"),
        Wrong(keeps_heads_apart, says="shape"),
    ],
    "largest_score": [
        Wrong(separate_maxima, says="different channels"),
        Wrong(forgets_the_sign, says="a negative product"),
        Wrong(all_ones, says="1 in all channels"),
        Wrong(ignores_the_weights, says="the weights play no part"),
        Wrong(undivided, says="the division by √D is missing"),
        Wrong(divides_twice, says="once too often"),
        Wrong(forgets_the_width, says="√D is missing"),
        Wrong(knows_four_channels, says="nine channels"),
    ],
}
