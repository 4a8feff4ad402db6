"""Wrong answers to the exercises on norms."""

import torch
from torch.nn import functional as F

from known_wrong import Wrong

# --- half_rms_norm


def rms(x, epsilon=1e-5):
    return (x.square().mean(dim=-1, keepdim=True) + epsilon).sqrt()


def squares_in_half(x, weight):
    return x / rms(x) * weight


def stays_in_float32(x, weight):
    return x.float() / rms(x.float()) * weight.float()


def forgets_the_weight(x, weight):
    return (x.float() / rms(x.float())).half()


def divides_by_the_length(x, weight):
    return (F.normalize(x.float(), dim=-1) * weight).half()


def subtracts_the_mean(x, weight):
    return (F.layer_norm(x.float(), x.shape[-1:]) * weight).half()


def forgets_the_root(x, weight):
    return (x.float() / rms(x.float()).square() * weight).half()


def has_no_epsilon(x, weight):
    return (x.float() / rms(x.float(), 0.0) * weight).half()


def epsilon_outside(x, weight):
    return (x.float() / (rms(x.float(), 0.0) + 1e-5) * weight).half()


# --- rms_norm_gradient


def direct_only(x, weight, gradient, epsilon=1e-5):
    return weight * gradient / rms(x, epsilon)


def through_r(x, weight, gradient, epsilon):
    return x * (weight * gradient * x).mean(dim=-1, keepdim=True) / rms(x, epsilon) ** 3


def indirect_only(x, weight, gradient, epsilon=1e-5):
    return -through_r(x, weight, gradient, epsilon)


def no_weight(x, weight, gradient, epsilon=1e-5):
    return direct_only(x, 1.0, gradient, epsilon) - through_r(x, 1.0, gradient, epsilon)


def half_a_weight(x, weight, gradient, epsilon=1e-5):
    return direct_only(x, weight, gradient, epsilon) - through_r(x, 1.0, gradient, epsilon)


def wrong_sign(x, weight, gradient, epsilon=1e-5):
    return direct_only(x, weight, gradient, epsilon) + through_r(x, weight, gradient, epsilon)


def sum_for_mean(x, weight, gradient, epsilon=1e-5):
    return direct_only(x, weight, gradient, epsilon) - x.size(-1) * through_r(x, weight, gradient, epsilon)


def squared_only(x, weight, gradient, epsilon=1e-5):
    r = rms(x, epsilon)
    return direct_only(x, weight, gradient, epsilon) - r * through_r(x, weight, gradient, epsilon)


def mean_over_everything(x, weight, gradient, epsilon=1e-5):
    r = rms(x, epsilon)
    return weight * gradient / r - x * (weight * gradient * x).mean() / r**3


def fixed_epsilon(x, weight, gradient, epsilon=1e-5):
    return direct_only(x, weight, gradient, 1e-5) - through_r(x, weight, gradient, 1e-5)


# --- mirrored


def doubled(weight):
    return torch.cat((weight, weight))


def padded(weight):
    return torch.cat((weight, torch.zeros_like(weight)))


def mirror_first(weight):
    return torch.cat((-weight, weight))


def side_by_side(weight):
    return torch.cat((weight, -weight), dim=1)


def interleaved(weight):
    return torch.stack((weight, -weight), dim=1).flatten(0, 1)


def centred_first(weight):
    return torch.cat((weight - weight.mean(dim=0), weight.mean(dim=0) - weight))


def centred_rows(weight):
    rest = weight - weight.mean(dim=1, keepdim=True)
    return torch.cat((rest, -rest))


def one_more_row(weight):
    return torch.cat((weight, -weight.sum(dim=0, keepdim=True)))


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


def by_the_librarys_norm(x, weight):
    return F.rms_norm(x.float(), x.shape[-1:], weight.float(), 1e-5).half()


def input_gradient_by_autograd(x, weight, gradient, epsilon):
    leaf = x.clone().requires_grad_()
    (leaf / rms(leaf, epsilon) * weight * gradient).sum().backward()
    return leaf.grad


def another_epsilon(epsilon):
    def norm_by_head(x, weight, n_head):
        heads = x.unflatten(-1, (n_head, -1))
        return (heads / rms(heads, epsilon) * weight).flatten(-2)

    return norm_by_head


WRONG = {
    "half_rms_norm": [
        Wrong(squares_in_half, says="the squares overflow"),
        Wrong(stays_in_float32, says="not torch.float16"),
        Wrong(forgets_the_weight, says="the weight is missing"),
        Wrong(divides_by_the_length, says="a mean is missing"),
        Wrong(subtracts_the_mean, says="the mean is subtracted"),
        Wrong(forgets_the_root, says="its root is missing"),
        Wrong(epsilon_outside, says="is ε added under the root"),
        Wrong(has_no_epsilon, says="NaN"),
        Wrong(by_the_librarys_norm, says="do without `rms_norm`"),
    ],
    "rms_norm_gradient": [
        Wrong(direct_only, says="the direct way alone"),
        Wrong(indirect_only, says="the direct way is missing"),
        Wrong(no_weight, says="the weight is missing"),
        Wrong(half_a_weight, says="the weight is missing in the part"),
        Wrong(wrong_sign, says="1/r falls when x grows"),
        Wrong(sum_for_mean, says="a factor 1/C is missing"),
        Wrong(squared_only, says="not by r³"),
        Wrong(mean_over_everything, says="every place has its own r"),
        Wrong(fixed_epsilon, says="another epsilon"),
        Wrong(input_gradient_by_autograd, says="do without `autograd`"),
    ],
    "mirrored": [
        Wrong(doubled, says="both halves are the same"),
        Wrong(padded, says="the second half is 0"),
        Wrong(mirror_first, says="the wrong sign"),
        Wrong(side_by_side, says="side by side"),
        Wrong(interleaved, says="beside its negative"),
        Wrong(centred_first, says="a part of the old vector"),
        Wrong(centred_rows, says="nothing to do with the mean over channels"),
        Wrong(one_more_row, says="shape"),
    ],
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
        Wrong(another_epsilon(0.0), says="ε is missing"),
        Wrong(another_epsilon(1e-6), says="ε is 1e-6"),
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
