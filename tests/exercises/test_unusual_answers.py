"""Answers that are written otherwise than the solutions: right ones are taken, and wrong ones get their sentence."""

import math
from itertools import pairwise

import numpy
import pytest
import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from minigpt.evaluation.evaluate import cross_entropy
from minigpt.exercises.engine.loading import all_exercises


def running_total(losses, target, width):
    total = 0.0
    for step, loss in enumerate(losses, 1):
        total += loss - (losses[step - 1 - width] if step > width else 0.0)
        if step >= width and total / width < target:
            return step
    return 0


def mean_of_float32(losses, target, width):
    windows = torch.tensor(losses).unfold(0, width, 1).mean(-1) if len(losses) >= width else torch.ones(0)
    found = (windows < target).nonzero()
    return found[0].item() + width if len(found) else 0


def from_spread(spread):
    """An estimate of the batch size from any measure of how far numbers lie apart."""
    return lambda losses, references, size: size * (spread(references) / spread(losses)) ** 2


def beside_a_line(losses):
    places = numpy.arange(len(losses))
    return numpy.std(losses - numpy.polyval(numpy.polyfit(places, losses, 1), places))


def beside_a_moving_mean(losses):
    return numpy.std(numpy.array(losses)[5:-5] - numpy.convolve(losses, numpy.ones(11) / 11, "valid"))


def plain_factor(gradients, max_norm):
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    return [gradient * min(1.0, max_norm / norm.item()) for gradient in gradients]


def best_of_a_grid(operations, A, B, alpha, beta):
    sizes = torch.logspace(3, 7, 400)
    N = sizes[(A / sizes**alpha + B / (operations / 6 / sizes) ** beta).argmin()]
    return N, operations / 6 / N


def in_double(weights, v, y, dy):
    weights, v, y, dy = (tensor.double() for tensor in (weights, v, y, dy))
    return weights * (dy @ v.T - (dy * y).sum(-1, keepdim=True))


def mirrored_in_double(weight):
    return torch.cat((weight.double(), -weight.double()))


def every_shift(rotate):
    dice = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 8, 8, generator=dice)
    start = rotate(q, 0) @ rotate(k, 0).T
    shifts = range(1, 4089)
    return all((rotate(q, shift) @ rotate(k, shift).T - start).abs().max() < 1e-3 for shift in shifts)


def truth_as_tensor(rotate):
    dice = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 64, 8, generator=dice)
    start = rotate(q, 0) @ rotate(k, 0).T
    shifted = [rotate(q, shift) @ rotate(k, shift).T for shift in (1, 7, 250, 1001, 3989)]
    return (torch.stack(shifted) - start).abs().max() < 1e-3


def by_the_jacobian(layer, x):
    slope = torch.autograd.functional.jacobian(layer, x).abs().amax((0, 2, 3, 5))  # (T, T)
    return slope.triu(1).max() > 1e-6


def names_with_blocks(shapes):
    return [name for name, shape in shapes.items() if "blocks" in name and len(shape) == 2]


def with_a_finite_mask(scores):
    return scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -1e9).softmax(-1)


def without_softmax(scores):
    hidden = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
    weights = (hidden - hidden.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)


def until_it_is_reached(logits, p):
    total, kept = 0.0, []
    for one in logits.softmax(-1).sort(descending=True).indices.tolist():
        kept.append(one)
        total += logits.softmax(-1)[one].item()
        if total >= p - 1e-6:
            break
    return kept


def one_piece_at_a_time(query, pieces):
    highest, total, mixed = -math.inf, 0.0, 0.0
    while (piece := next(pieces, None)) is not None:
        scores = piece[0] @ query / math.sqrt(len(query))
        larger = max(highest, scores.max().item())
        weights, shrink = (scores - larger).exp(), math.exp(highest - larger)
        highest, total, mixed = larger, total * shrink + weights.sum(), mixed * shrink + weights @ piece[1]
    return mixed / total


def by_hand(logits, targets):
    logits = logits - logits.amax(-1, keepdim=True)
    return (logits.exp().sum(-1).log() - (logits * F.one_hot(targets, logits.size(-1))).sum(-1)).mean()


RIGHT = {
    "settled_step": [running_total, mean_of_float32],
    "estimate_batch_size": [
        from_spread(lambda losses: numpy.std(numpy.diff(losses))),
        from_spread(lambda losses: sum(abs(later - earlier) for earlier, later in pairwise(losses)) / len(losses)),
        from_spread(lambda losses: numpy.median(numpy.abs(numpy.diff(losses)))),
        from_spread(lambda losses: numpy.sqrt(numpy.mean(numpy.diff(losses) ** 2))),
        from_spread(lambda losses: numpy.std(numpy.diff(losses, 2))),
        from_spread(beside_a_line),
        from_spread(beside_a_moving_mean),
    ],
    "clip_gradients": [plain_factor],
    "optimal_split": [best_of_a_grid],
    "score_gradient": [in_double],
    "mirrored": [mirrored_in_double],
    "only_distance_counts": [every_shift, truth_as_tensor],
    "sees_the_future": [by_the_jacobian],
    "for_muon": [names_with_blocks],
    "masked_softmax": [with_a_finite_mask, without_softmax],
    "nucleus": [until_it_is_reached],
    "attend_in_pieces": [one_piece_at_a_time],
    "stable_cross_entropy": [by_hand],
}
SLOW = [every_shift]


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        pytest.param(name, attempt, id=f"{name}-{attempt.__name__}", marks=pytest.mark.slow if attempt in SLOW else ())
        for name, attempts in RIGHT.items()
        for attempt in attempts
    ],
)
def test_a_right_answer_is_taken_however_it_is_written(name, attempt):
    outcome = all_exercises()[name].examine(attempt)
    assert outcome.verdict == "right", outcome.message


def plain_loop(model, optimizer, batches, max_norm):
    model.train()
    losses = []
    for inputs, targets in batches:
        loss = cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def test_a_loop_that_steps_after_every_batch_is_told_so():
    outcome = all_exercises()["train_step"].examine(plain_loop)
    assert outcome.verdict == "wrong" and "steps after every batch" in outcome.message
