"""Exercises of the chapter on training that are about the loop: one step of it, and when to end it."""

from typing import Any

import torch
from torch import Tensor, nn

from minigpt.evaluation.evaluate import cross_entropy
from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_equal, expect_type

CHAPTER = "06_training"


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

    @torch.no_grad()
    def step(self) -> None:
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
    diagnose(tuple(answer), (50, 80), mistakes)
    level = [(1, 2.0), (2, 2.0), (3, 2.0)]
    expect_equal(tuple(attempt(level, 2)), (1, 3), "a loss that only equals the best one is no improvement")
    falling = [(5, 3.0), (10, 2.0), (15, 2.1)]
    expect_equal(tuple(attempt(falling, 2)), (10, None), "patience never runs out here, so the stop should be None")
    return "whoever stops early must have saved the checkpoint of the best step"
