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
}
