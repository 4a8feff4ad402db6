"""Exercises of the chapter on training: the learning rate, clipping, AdamW, one step of the loop, and when to end it."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.evaluation.evaluate import cross_entropy
from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, expect_equal, expect_shape, expect_type

CHAPTER = "06_training"


@exercise(
    chapter=CHAPTER,
    hints=(
        "There are three phases, so there are three returns. Which steps belong to which? "
        "The last `decay_steps` of the `max_steps` are the third.",
        "Steps count from 0, and step 0 shall move already: the first `warmup_steps` rates are 1, 2, 3, … shares "
        "of the highest, and the last of them is the highest itself.",
        "In the third phase, progress runs from 0 at the phase's first step to 1 at step `max_steps`. Half a cosine "
        "turns it into a factor from 1 to 0: `0.5 * (1 + math.cos(math.pi * progress))`.",
        "That factor is the share of the way that is left between `lowest` and `highest`.",
    ),
)
def warmup_plateau_cosine(attempt):
    """Return the learning rate of a step: a linear rise, a plateau, then half a cosine down."""

    def curve(function) -> Tensor:
        return torch.tensor([float(function(step, 24, 4, 8, 1.0, 0.2)) for step in range(25)])

    first = attempt(0, 24, 4, 8, 1.0, 0.2)
    expect_type(first, (int, float, Tensor), f"a learning rate is one number, not a {type(first).__name__}")
    rates = curve(attempt)
    expect(not (rates[:-1].diff() == 0).all(), "the learning rate is the same at every step")
    mistakes = {
        "the warmup starts at 0, so the first step moves nothing: count the step that is being taken": curve(
            lambda *values: _plateau(*values, first=0)
        ),
        "the warmup reaches the highest rate one step late": curve(lambda *values: _plateau(*values, late=1)),
        "there is no warmup": curve(lambda *values: _plateau(*values, warmup=False)),
        "the cosine runs the wrong way: the rate drops at once and then climbs back": curve(
            lambda *values: _plateau(*values, fall=lambda p: 0.5 * (1 - math.cos(math.pi * p)))
        ),
        "this is a whole cosine, which comes back up in the end: half of one is asked for": curve(
            lambda *values: _plateau(*values, fall=lambda p: 0.5 * (1 + math.cos(2 * math.pi * p)))
        ),
        "this is a quarter of a cosine, which arrives at full speed: half of one is asked for": curve(
            lambda *values: _plateau(*values, fall=lambda p: math.cos(math.pi * p / 2))
        ),
        "the decay is a straight line, not half a cosine": curve(
            lambda *values: _plateau(*values, fall=lambda p: 1 - p)
        ),
        "there is no plateau: the cosine begins right after the warmup": curve(
            lambda step, total, warmup, decay, high, low: _plateau(step, total, warmup, total - warmup, high, low)
        ),
        "the cosine's progress counts from step 0 and not from the decay's first step": curve(
            lambda *values: _plateau(*values, from_zero=True)
        ),
        "the decay ends at 0 and not at the lowest rate": curve(lambda *values: _plateau(*values[:5], 0.0)),
        "the lowest rate is added on top, so the plateau lies above the highest rate": curve(
            lambda *values: _plateau(*values[:5], 0.0) + 0.2
        ),
    }
    diagnose(rates, curve(_plateau), mistakes)
    other = torch.tensor([float(attempt(step, 10, 2, 5, 3e-3, 0.0)) for step in range(10)])
    expected = torch.tensor([_plateau(step, 10, 2, 5, 3e-3, 0.0) for step in range(10)])
    expect_close(
        other, expected, "right for one schedule, but not for another: is a number fixed in your code?", atol=1e-7
    )
    return "this shape is called warmup-stable-decay, and a run can be prolonged from its plateau"


def _plateau(
    step: int,
    max_steps: int,
    warmup_steps: int,
    decay_steps: int,
    highest: float,
    lowest: float,
    *,
    first: int = 1,
    late: int = 0,
    warmup: bool = True,
    from_zero: bool = False,
    fall: Callable[[float], float] = lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
) -> float:
    """The schedule; each keyword makes one mistake."""
    if warmup and step < warmup_steps + late:
        return highest * (step + first) / (warmup_steps + late)
    start = max_steps - decay_steps
    if step < start:
        return highest
    progress = step / max_steps if from_zero else (step - start) / decay_steps
    return lowest + fall(progress) * (highest - lowest)


@exercise(
    chapter=CHAPTER,
    hints=(
        "All the gradients together are one long vector. What is its length?",
        "Square every number in every tensor, add them all up, and take the root once, at the end.",
        "One factor for all tensors: `max_norm / norm`, but never more than 1.",
    ),
)
def clip_gradients(attempt):
    """Return the gradients scaled by one common factor, so that their global norm is at most max_norm."""
    gradients = [torch.tensor([3.0, -4.0]), torch.tensor([[0.0, 12.0], [0.0, 84.0]])]  # norms 5 and √7200; global 85
    norms = [tensor.norm() for tensor in gradients]
    clipped = attempt(gradients, 17.0)
    expect_type(clipped, (list, tuple), f"a list of tensors is asked for, not a {type(clipped).__name__}")
    expect(len(clipped) == 2, f"there are {len(clipped)} tensors in the answer, but 2 gradients came in")
    for tensor, gradient in zip(clipped, gradients, strict=True):
        expect_shape(tensor, tuple(gradient.shape))
    squares = sum(gradient.pow(2).sum() for gradient in gradients)
    mistakes = {
        "each tensor is clipped by itself, which turns the direction of the step: one factor for all is asked for": [
            gradient * min(1.0, 17.0 / norm.item()) for gradient, norm in zip(gradients, norms, strict=True)
        ],
        "every number is clamped by itself, which turns the direction of the step": [
            gradient.clamp(-17.0, 17.0) for gradient in gradients
        ],
        "the gradients come back unchanged, although they are too long": gradients,
        "the norm lacks its square root": [gradient * (17.0 / squares) for gradient in gradients],
        "the tensors' norms are added up: square them, add, and take the root": [
            gradient * (17.0 / sum(norms)) for gradient in gradients
        ],
        "the norm adds up absolute values: square them instead, and take the root": [
            gradient * (17.0 / sum(one.abs().sum() for one in gradients)) for gradient in gradients
        ],
        "the gradients are scaled to length 1, whatever `max_norm` is": [gradient / 85.0 for gradient in gradients],
        "the factor is upside down: this makes long gradients longer": [
            gradient * (85.0 / 17.0) for gradient in gradients
        ],
    }
    correct = _flat([gradient * (17.0 / 85.0) for gradient in gradients])
    diagnose(_flat(clipped), correct, {sentence: _flat(wrong) for sentence, wrong in mistakes.items()})
    short = [torch.tensor([0.3, 0.4]), torch.tensor([[0.0]])]
    kept = attempt(short, 1.0)
    expect(
        torch.allclose(_flat(kept), _flat(short), atol=1e-5),
        "gradients that are short enough are scaled up: the factor must never exceed 1",
    )
    with suppress(ZeroDivisionError):  # (6.12) says nothing about gradients of zero
        still = attempt([torch.zeros(3)], 1.0)
        expect_close(_flat(still), torch.zeros(3), "gradients of zero should stay zero")
    return "the direction is kept, and only the length is bounded"


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().float().flatten() for tensor in tensors])


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three results, three lines to begin with: the new `m`, the new `v`, the new parameter.",
        "`m` keeps `beta1` of itself and takes `1 - beta1` of the gradient; `v` does the same with the square.",
        "Correct copies, not the averages that you return: `m / (1 - beta1**step)`, and the like for `v`.",
        "Adam's step divides by `v.sqrt() + epsilon`. The decay, `weight_decay * parameter`, stands beside it and "
        "never meets the gradient; the learning rate multiplies both.",
    ),
)
def adamw_step(attempt):
    """Take one AdamW step on one tensor and return the new parameter, the new m and the new v."""
    start = {
        "parameter": torch.tensor([2.0, -3.0, 0.5]),
        "gradient": torch.tensor([0.5, -0.2, 4.0]),
        "m": torch.tensor([0.3, 0.1, -1.0]),
        "v": torch.tensor([0.2, 0.05, 3.0]),
    }
    settings = {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 0.1, "weight_decay": 0.5}
    answer = attempt(*start.values(), 3, *settings.values())
    expect_type(answer, (tuple, list), "three tensors are asked for: return parameter, m, v")
    expect(len(answer) == 3, f"three tensors are asked for (parameter, m, v), but {len(answer)} came back")
    for tensor in answer:
        expect_shape(tensor, (3,))
    wrong = {
        "the gradient carries the decay, so Adam divides the decay away again: keep it apart (decoupled)": "l2",
        "there is no bias correction: divide by 1 − beta^step": "uncorrected",
        "only `m` is corrected for its bias: `v` needs it as well, with its own beta": "m_only",
        "only `v` is corrected for its bias: `m` needs it as well, with its own beta": "v_only",
        "the bias correction is off by one step: `step` counts from 1 already": "late",
        "epsilon stands inside the root: add it after taking the root": "inside",
        "the weight decay is missing": "no_decay",
        "the decay is not multiplied by the learning rate": "strong_decay",
        "the decay acts on the parameter after Adam's step: take it from the old one": "decay_after",
        "the square root of v is missing": "no_root",
        "the parameter moves up the slope: subtract the step": "uphill",
        "the bias-corrected averages are kept: return the plain ones, or they are corrected again next time": "kept",
        "`m` and `v` are weighted the wrong way round: the old one keeps beta, the new value gets 1 − beta": "swapped",
        "`v` averages the gradient and not its square": "unsquared",
    }
    correct, candidates = _adamw(**start, step=3, **settings), {}
    for sentence, kind in wrong.items():
        candidates[sentence] = torch.stack(_adamw(**start, step=3, **settings, wrong=kind))
    diagnose(torch.stack(list(answer)), torch.stack(correct), candidates)
    zero = torch.zeros(1)
    moved = attempt(torch.ones(1), torch.full((1,), 1e-4), zero, zero, 1, 0.01, 0.9, 0.99, 1e-12, 0.0)[0]
    expect_close(moved, torch.tensor([0.99]), "the very first step should be one learning rate long", atol=1e-4)
    return "the very first step is one learning rate long, however small the gradient is"


def _adamw(
    parameter: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    wrong: str = "",
) -> tuple[Tensor, Tensor, Tensor]:
    """One step; `wrong` names a mistake to make."""
    if wrong == "l2":
        gradient = gradient + weight_decay * parameter
    if wrong == "swapped":
        beta1, beta2 = 1 - beta1, 1 - beta2
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * (gradient if wrong == "unsquared" else gradient**2)
    step = step + 1 if wrong == "late" else step
    m_hat = m if wrong in ("uncorrected", "v_only") else m / (1 - beta1**step)
    v_hat = v if wrong in ("uncorrected", "m_only") else v / (1 - beta2**step)
    root = {"inside": (v_hat + epsilon).sqrt(), "no_root": v_hat + epsilon}.get(wrong, v_hat.sqrt() + epsilon)
    adam = learning_rate * m_hat / root
    decay = 0.0 if wrong in ("l2", "no_decay") else weight_decay * (1 if wrong == "strong_decay" else learning_rate)
    if wrong == "decay_after":
        new = (1 - decay) * (parameter - adam)
    else:
        new = (1 - decay) * parameter + (adam if wrong == "uphill" else -adam)
    return (new, m_hat, v_hat) if wrong == "kept" else (new, m, v)


@exercise(
    chapter=CHAPTER,
    in_place=True,
    hints=(
        "Gradients add up until somebody clears them. Here that is useful: which call may therefore stand only once?",
        "In the loop over the batches: forward, loss, backward. After the loop: clip, step, clear.",
        "The mean over all batches is asked for, so each loss is divided by `len(batches)` before `backward()`.",
        "`torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)` belongs between the last `backward()` and "
        "`optimizer.step()`; `optimizer.zero_grad()` comes after the step.",
    ),
)
def train_step(attempt):
    """Take one optimizer step on several small batches, clipped, and return their mean loss as a number."""
    ids = [torch.tensor([[0, 1, 2, 3]]), torch.tensor([[2, 2, 0, 4]])]
    batches = [(window[:, :-1], window[:, 1:]) for window in ids]
    for max_norm in (100.0, 0.05):
        model, optimizer = _small_model()
        model.eval()
        before = model.table.weight.detach().clone()
        loss = attempt(model, optimizer, list(batches), max_norm)
        expect(optimizer.steps < 2, WRONG_ORDERS["step_each"])
        _judge_step(model, before, loss, batches, max_norm, calls=1)
        model.eval()
        attempt(model, optimizer, list(batches), max_norm)
        _judge_step(model, before, None, batches, max_norm, calls=2)
        expect(
            model.training, "the model is still in evaluation mode, where dropout does nothing: call `model.train()`"
        )
    return "a large batch in small pieces: this is gradient accumulation"


class _Table(nn.Module):
    """A bigram model with a fixed start, small enough to be trained by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 5)
        with torch.no_grad():
            self.table.weight.copy_(torch.arange(25.0).reshape(5, 5).sin())

    def forward(self, ids: Tensor) -> Tensor:  # (B, T) -> (B, T, V)
        return self.table(ids)


class _Descent:
    """Gradient descent that looks like PyTorch's optimizers, without the seconds that importing those takes."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = list(model.parameters())
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.sub_(0.5 * parameter.grad)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters:
            parameter.grad = None


def _small_model() -> tuple[_Table, _Descent]:
    model = _Table()
    return model, _Descent(model)


def _judge_step(model: _Table, before: Tensor, loss: Any, batches: list, max_norm: float, calls: int) -> None:
    """Compare the weights after some calls with those of the right order, and of each wrong one."""
    weight = model.table.weight.detach()
    correct, correct_loss = _train(batches, max_norm, calls)
    if not torch.allclose(weight, correct, atol=1e-6):
        expect(
            not torch.equal(weight, before), "the weights have not moved: are the gradients cleared before the step?"
        )
        for wrong, sentence in WRONG_ORDERS.items():
            weights, _ = _train(batches, max_norm, calls, wrong)
            expect(not torch.allclose(weight, weights, atol=1e-6), sentence)
        which = "first" if calls == 1 else "second"
        expect(False, f"the weights are not those of a right step after the {which} call, with max_norm = {max_norm:g}")
    if calls == 1:
        expect_type(loss, (int, float, Tensor), f"the mean loss is one number, not a {type(loss).__name__}")
        attached = isinstance(loss, Tensor) and loss.requires_grad
        expect(not attached, "the loss still drags its graph along: return a plain number with `.item()`")
        last = cross_entropy(_Table()(batches[-1][0]), batches[-1][1]).item()
        wrong_losses = {
            "this is the loss of the last batch only: the mean over all batches is asked for": last,
            "this is the sum of the losses: their mean is asked for": correct_loss * len(batches),
            "this is the last loss after its division: the divided losses have to be added up": last / len(batches),
        }
        diagnose(loss, correct_loss, wrong_losses)


WRONG_ORDERS = {
    "no_zero": "the second call still carries the gradients of the first: `zero_grad` is missing",
    "step_each": "the optimizer steps after every batch: let the gradients add up, and step once",
    "zero_each": "the gradients are cleared after every batch, so only the last one counts",
    "sum": "the batches' gradients are added up, not averaged: divide each loss by the number of batches",
    "no_clip": "nothing is clipped: the gradients have to be clipped between the last `backward` and the step",
    "clip_each": "the gradients are clipped after every batch: clip once, when all have been added up",
}


def _train(batches: list, max_norm: float, calls: int, wrong: str = "") -> tuple[Tensor, float]:
    """The weights after some calls and the mean loss of the first; `wrong` names a mistake to make."""
    model, optimizer = _small_model()
    mean_loss = sum(cross_entropy(model(inputs), targets).item() for inputs, targets in batches) / len(batches)

    def clip() -> None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)

    for _ in range(calls):
        for inputs, targets in batches:
            if wrong == "zero_each":
                optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            (loss if wrong == "sum" else loss / len(batches)).backward()
            if wrong == "clip_each":
                clip()
            if wrong == "step_each":
                clip()
                optimizer.step()
                optimizer.zero_grad()
        if wrong == "step_each":
            continue
        if wrong not in ("no_clip", "clip_each"):
            clip()
        optimizer.step()
        if wrong != "no_zero":
            optimizer.zero_grad()
    return model.table.weight.detach(), mean_loss


@exercise(
    chapter=CHAPTER,
    hints=(
        "Walk through the evaluations once, and remember three things: the lowest loss so far, the step where it was, "
        "and how many evaluations have passed since then.",
        "A lower loss resets the count to 0; anything else adds 1 to it.",
        "When the count reaches `patience`, return at once: what comes later was never computed.",
    ),
)
def stop_early(attempt):
    """Return the step with the best validation loss and the step at which patience runs out, or None for the latter."""
    losses = [3.0, 2.5, 2.6, 2.55, 2.4, 2.45, 2.43, 2.41, 2.42, 2.0]
    evaluations = [(10 * number, loss) for number, loss in enumerate(losses, start=1)]
    answer = attempt(evaluations, 3)
    expect_type(answer, (tuple, list), "two steps are asked for: return best_step, stop_step")
    expect(len(answer) == 2, f"two steps are asked for (best_step, stop_step), but {len(answer)} values came back")
    mistakes = {
        "these are places in the list: the steps stand in the evaluations": (4, 7),
        "these are losses: the steps are asked for": (2.4, 2.41),
        "the best step lies after the stop: those evaluations would never have been made": (100, 80),
        "the stop comes one evaluation too late: the third in a row without a new best is the last": (50, 90),
        "the stop comes one evaluation too early": (20, 40),
        "the count is never reset: only evaluations since the last best one count": (50, 60),
        "each loss is compared with the one before it: compare it with the best so far": (100, None),
        "the two steps are in the wrong order: the best one comes first": (80, 50),
    }
    diagnose(answer, (50, 80), mistakes)
    level = [(1, 2.0), (2, 2.0), (3, 2.0)]
    expect_equal(attempt(level, 2), (1, 3), "a loss that only equals the best one is no improvement")
    falling = [(5, 3.0), (10, 2.0), (15, 2.1)]
    expect_equal(attempt(falling, 2), (10, None), "patience never runs out here, so the stop should be None")
    return "whoever stops early must have saved the checkpoint of the best step"
