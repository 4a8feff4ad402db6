"""Wrong answers to the exercises on the training loop."""

import math

from torch.nn.utils import clip_grad_norm_

from known_wrong import Wrong
from minigpt.evaluation.evaluate import cross_entropy


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


WRONG = {
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
