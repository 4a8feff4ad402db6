"""Wrong answers to the exercises on training: the learning rate, clipping, AdamW, the loop."""

import math

import torch
from torch.nn.utils import clip_grad_norm_

from known_wrong import Wrong
from minigpt.evaluation.evaluate import cross_entropy


def half_cosine(progress):
    return 0.5 * (1 + math.cos(math.pi * progress))


def starts_at_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step < warmup_steps:
        return highest * step / warmup_steps
    progress = max(0.0, (step - (max_steps - decay_steps)) / decay_steps)
    return lowest + half_cosine(progress) * (highest - lowest)


def warms_up_one_late(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step <= warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    progress = max(0.0, (step - (max_steps - decay_steps)) / decay_steps)
    return lowest + half_cosine(progress) * (highest - lowest)


def with_fall(fall):
    def schedule(step, max_steps, warmup_steps, decay_steps, highest, lowest):
        if step < warmup_steps:
            return highest * (step + 1) / warmup_steps
        if step < max_steps - decay_steps:
            return highest
        progress = (step - (max_steps - decay_steps)) / decay_steps
        return lowest + fall(progress) * (highest - lowest)

    return schedule


def has_no_plateau(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    return lowest + half_cosine(progress) * (highest - lowest)


def counts_progress_from_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    if step < max_steps - decay_steps:
        return highest
    return lowest + half_cosine(step / max_steps) * (highest - lowest)


def ends_at_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return with_fall(half_cosine)(step, max_steps, warmup_steps, decay_steps, highest, 0.0)


def adds_the_lowest(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return lowest + ends_at_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest)


def skips_the_warmup(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return with_fall(half_cosine)(step, max_steps, 0, decay_steps, highest, lowest)


def is_constant(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return highest


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


def pieces(model, optimizer, batches, after_each=lambda: None, before_each=lambda: None, share=None):
    """Forward and backward on every batch; return the mean loss."""
    model.train()
    total = 0.0
    for inputs, targets in batches:
        before_each()
        loss = cross_entropy(model(inputs), targets)
        (loss * (share or 1 / len(batches))).backward()
        total += loss.item()
        after_each()
    return total / len(batches)


def finish(model, optimizer, max_norm):
    clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad()


def forgets_zero_grad(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches)
    clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss


def steps_after_each(model, optimizer, batches, max_norm):
    return pieces(model, optimizer, batches, after_each=lambda: finish(model, optimizer, max_norm))


def clears_before_each(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches, before_each=optimizer.zero_grad)
    finish(model, optimizer, max_norm)
    return loss


def clears_before_the_step(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches)
    clip_grad_norm_(model.parameters(), max_norm)
    optimizer.zero_grad()
    optimizer.step()
    return loss


def sums_the_gradients(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches, share=1.0)
    finish(model, optimizer, max_norm)
    return loss


def clips_after_the_step(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches)
    optimizer.step()
    clip_grad_norm_(model.parameters(), max_norm)
    optimizer.zero_grad()
    return loss


def clips_each_batch(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches, after_each=lambda: clip_grad_norm_(model.parameters(), max_norm))
    optimizer.step()
    optimizer.zero_grad()
    return loss


def stays_in_evaluation(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches)
    finish(model, optimizer, max_norm)
    model.eval()
    return loss


def returns_the_last_loss(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches)
    last = cross_entropy(model(batches[-1][0]), batches[-1][1]).item()
    finish(model, optimizer, max_norm)
    return last if loss else None


def returns_the_sum(model, optimizer, batches, max_norm):
    loss = pieces(model, optimizer, batches)
    finish(model, optimizer, max_norm)
    return loss * len(batches)


def returns_the_graph(model, optimizer, batches, max_norm):
    loss = sum(cross_entropy(model(inputs), targets) for inputs, targets in batches) / len(batches)
    model.train()
    loss.backward()
    finish(model, optimizer, max_norm)
    return loss


def walk(evaluations, patience, tie=False, reset=True):
    best_step, best_loss, waited = None, math.inf, 0
    for step, loss in evaluations:
        if loss < best_loss or (tie and loss == best_loss):
            best_step, best_loss, waited = step, loss, 0 if reset else waited
        else:
            waited += 1
        if waited >= patience:
            return best_step, step
    return best_step, None


def returns_places(evaluations, patience):
    return walk([(place, loss) for place, (_, loss) in enumerate(evaluations)], patience)


def looks_past_the_stop(evaluations, patience):
    return min(evaluations, key=lambda one: one[1])[0], walk(evaluations, patience)[1]


def stops_one_late(evaluations, patience):
    return walk(evaluations, patience + 1)


def stops_one_early(evaluations, patience):
    return walk(evaluations, patience - 1)


def never_resets(evaluations, patience):
    return walk(evaluations, patience, reset=False)


def compares_with_the_last(evaluations, patience):
    waited, before = 0, math.inf
    best = min(evaluations, key=lambda one: one[1])[0]
    for step, loss in evaluations:
        waited = 0 if loss < before else waited + 1
        before = loss
        if waited >= patience:
            return best, step
    return best, None


def turns_them_round(evaluations, patience):
    return walk(evaluations, patience)[::-1]


def takes_a_tie(evaluations, patience):
    return walk(evaluations, patience, tie=True)


def always_stops(evaluations, patience):
    best, stop = walk(evaluations, patience)
    return best, stop or evaluations[-1][0]


def corrects_one(corrects_m):
    def adamw(parameter, gradient, m, v, step, rate, beta1, beta2, epsilon, weight_decay):
        m, v = averages(gradient, m, v, beta1, beta2)
        m_hat = m / (1 - beta1**step) if corrects_m else m
        v_hat = v if corrects_m else v / (1 - beta2**step)
        return parameter - rate * (m_hat / (v_hat.sqrt() + epsilon) + weight_decay * parameter), m, v

    return adamw


WRONG = {
    "warmup_plateau_cosine": [
        Wrong(starts_at_zero, says="starts at 0"),
        Wrong(warms_up_one_late, says="one step late"),
        Wrong(skips_the_warmup, says="no warmup"),
        Wrong(with_fall(lambda progress: 0.5 * (1 - math.cos(math.pi * progress))), says="the wrong way"),
        Wrong(with_fall(lambda progress: 0.5 * (1 + math.cos(2 * math.pi * progress))), says="a whole cosine"),
        Wrong(with_fall(lambda progress: math.cos(math.pi * progress / 2)), says="a quarter of a cosine"),
        Wrong(with_fall(lambda progress: 1 - progress), says="a straight line"),
        Wrong(has_no_plateau, says="no plateau"),
        Wrong(counts_progress_from_zero, says="counts from step 0"),
        Wrong(ends_at_zero, says="ends at 0"),
        Wrong(adds_the_lowest, says="added on top"),
        Wrong(is_constant, says="the same at every step"),
    ],
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
        Wrong(corrects_one(True), says="only `m` is corrected"),
        Wrong(corrects_one(False), says="only `v` is corrected"),
    ],
    "train_step": [
        Wrong(forgets_zero_grad, says="`zero_grad` is missing"),
        Wrong(steps_after_each, says="steps after every batch"),
        Wrong(clears_before_each, says="only the last one counts"),
        Wrong(clears_before_the_step, says="have not moved"),
        Wrong(sums_the_gradients, says="not averaged"),
        Wrong(clips_after_the_step, says="nothing is clipped"),
        Wrong(clips_each_batch, says="clipped after every batch"),
        Wrong(stays_in_evaluation, says="still in evaluation mode"),
        Wrong(returns_the_last_loss, says="the last batch only"),
        Wrong(returns_the_sum, says="the sum of the losses"),
        Wrong(returns_the_graph, says="drags its graph along"),
    ],
    "stop_early": [
        Wrong(returns_places, says="places in the list"),
        Wrong(looks_past_the_stop, says="lies after the stop"),
        Wrong(stops_one_late, says="one evaluation too late"),
        Wrong(stops_one_early, says="one evaluation too early"),
        Wrong(never_resets, says="never reset"),
        Wrong(compares_with_the_last, says="compared with the one before it"),
        Wrong(turns_them_round, says="in the wrong order"),
        Wrong(takes_a_tie, says="only equals the best"),
        Wrong(always_stops, says="the stop should be None"),
    ],
}
