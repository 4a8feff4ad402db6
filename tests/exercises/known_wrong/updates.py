"""Wrong answers to the exercises on clipping and on AdamW."""

import math

import torch

from known_wrong import Wrong


def global_norm(gradients):
    return math.sqrt(sum(gradient.pow(2).sum().item() for gradient in gradients))


def clips_each_tensor(gradients, max_norm):
    return [gradient * min(1.0, max_norm / (gradient.norm().item() + 1e-6)) for gradient in gradients]


def clamps_each_number(gradients, max_norm):
    return [gradient.clamp(-max_norm, max_norm) for gradient in gradients]


def forgets_the_root(gradients, max_norm):
    return [gradient * min(1.0, max_norm / global_norm(gradients) ** 2) for gradient in gradients]


def adds_the_norms(gradients, max_norm):
    norm = sum(gradient.norm().item() for gradient in gradients)
    return [gradient * min(1.0, max_norm / norm) for gradient in gradients]


def adds_absolute_values(gradients, max_norm):
    norm = sum(gradient.abs().sum().item() for gradient in gradients)
    return [gradient * min(1.0, max_norm / norm) for gradient in gradients]


def scales_short_ones_up(gradients, max_norm):
    return [gradient * (max_norm / global_norm(gradients)) for gradient in gradients]


def scales_to_one(gradients, max_norm):
    return [gradient / global_norm(gradients) for gradient in gradients]


def turns_the_factor_over(gradients, max_norm):
    return [gradient * max(1.0, global_norm(gradients) / max_norm) for gradient in gradients]


def changes_nothing(gradients, max_norm):
    return gradients


def clips_in_place(gradients, max_norm):
    for gradient in gradients:
        gradient *= min(1.0, max_norm / global_norm(gradients))
    return gradients


def divides_by_zero(gradients, max_norm):
    norm = torch.tensor(global_norm(gradients))
    return [gradient / norm * torch.minimum(norm, torch.tensor(max_norm)) for gradient in gradients]


def averages(gradient, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2


def forgets_correction(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    m, v = averages(g, m, v, beta1, beta2)
    return p - lr * (m / (v.sqrt() + epsilon) + decay * p), m, v


def epsilon_in_the_root(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    m, v = averages(g, m, v, beta1, beta2)
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return p - lr * (m_hat / (v_hat + epsilon).sqrt() + decay * p), m, v


def corrected(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    m, v = averages(g, m, v, beta1, beta2)
    return p - lr * (m / (1 - beta1**step) / ((v / (1 - beta2**step)).sqrt() + epsilon) + decay * p), m, v


def decays_through_the_gradient(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    return corrected(p, g + decay * p, m, v, step, lr, beta1, beta2, epsilon, 0.0)


def forgets_the_decay(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    return corrected(p, g, m, v, step, lr, beta1, beta2, epsilon, 0.0)


def decays_without_rate(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    return corrected(p, g, m, v, step, lr, beta1, beta2, epsilon, decay / lr)


def decays_afterwards(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    p, m, v = corrected(p, g, m, v, step, lr, beta1, beta2, epsilon, 0.0)
    return p * (1 - lr * decay), m, v


def counts_one_more(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    return corrected(p, g, m, v, step + 1, lr, beta1, beta2, epsilon, decay)


def keeps_the_corrected(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    p, m, v = corrected(p, g, m, v, step, lr, beta1, beta2, epsilon, decay)
    return p, m / (1 - beta1**step), v / (1 - beta2**step)


def swaps_the_shares(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    return corrected(p, g, m, v, step, lr, 1 - beta1, 1 - beta2, epsilon, decay)


def forgets_the_square_root(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    m, v = averages(g, m, v, beta1, beta2)
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return p - lr * (m_hat / (v_hat + epsilon) + decay * p), m, v


def goes_uphill(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    m, v = averages(g, m, v, beta1, beta2)
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return p - lr * decay * p + lr * m_hat / (v_hat.sqrt() + epsilon), m, v


def returns_the_parameter_only(p, g, m, v, step, lr, beta1, beta2, epsilon, decay):
    return corrected(p, g, m, v, step, lr, beta1, beta2, epsilon, decay)[0]


WRONG = {
    "clip_gradients": [
        Wrong(clips_each_tensor, says="each tensor is clipped by itself"),
        Wrong(clamps_each_number, says="every number is clamped"),
        Wrong(forgets_the_root, says="lacks its square root"),
        Wrong(adds_the_norms, says="the tensors' norms are added up"),
        Wrong(adds_absolute_values, says="absolute values"),
        Wrong(scales_short_ones_up, says="are scaled up"),
        Wrong(scales_to_one, says="scaled to length 1"),
        Wrong(turns_the_factor_over, says="upside down"),
        Wrong(changes_nothing, says="come back unchanged"),
        Wrong(clips_in_place, says="changes its input"),
        Wrong(divides_by_zero, says="NaN"),
    ],
    "adamw_step": [
        Wrong(forgets_correction, says="no bias correction"),
        Wrong(epsilon_in_the_root, says="epsilon stands inside the root"),
        Wrong(decays_through_the_gradient, says="decoupled"),
        Wrong(forgets_the_decay, says="decay is missing"),
        Wrong(decays_without_rate, says="not multiplied by the learning rate"),
        Wrong(decays_afterwards, says="after Adam's step"),
        Wrong(counts_one_more, says="off by one step"),
        Wrong(keeps_the_corrected, says="corrected averages are kept"),
        Wrong(swaps_the_shares, says="the wrong way round"),
        Wrong(forgets_the_square_root, says="root of v is missing"),
        Wrong(goes_uphill, says="up the slope"),
        Wrong(returns_the_parameter_only, says="return parameter, m, v"),
    ],
}
