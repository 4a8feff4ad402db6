"""Exercises on a batch in unequal pieces, and on the log of a run that was killed."""

import json

import torch
from torch import nn
from torch.nn import functional as F

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_type
from minigpt.utils.errors import not_none

CHAPTER = "12_runs_that_survive"


@exercise(
    chapter=CHAPTER,
    hints=(
        "The mean over all tokens is a weighted mean of the pieces' means. What is the weight of a piece?",
        "`targets.numel()` counts the tokens of a piece; add them up over all pieces before you begin.",
        "Multiply each piece's loss by its share of the tokens, and call `backward()` on the product.",
    ),
)
def add_gradients(attempt):
    """Add up the gradient of the mean loss over all tokens, piece by piece, and return that mean loss."""
    dice = torch.Generator().manual_seed(3)
    shapes = ((1, 2), (3, 5), (2, 1))
    pieces = [tuple(torch.randint(5, shape, generator=dice) for _ in range(2)) for shape in shapes]
    model = _table()
    loss = attempt(model, pieces)
    expect(model.weight.grad is not None, "no gradient has arrived: call `backward()` on every piece's loss")
    wrong = {
        "the pieces' means are averaged as if all pieces had the same number of tokens": [1 / 3] * 3,
        "the pieces are weighted by their windows, not by their tokens": [1 / 6, 3 / 6, 2 / 6],
        "the losses are added up without weights": [1.0] * 3,
        "only the last piece counts: are the gradients cleared on the way?": [0.0, 0.0, 2 / 19],
        "the pieces are summed over their tokens: divide by the number of all tokens": [2.0, 15.0, 2.0],
        "the weight of each piece is its share, divided once more by the number of pieces": [2 / 57, 15 / 57, 2 / 57],
    }
    right, mean = _weighted(pieces, [2 / 19, 15 / 19, 2 / 19])
    diagnose(model.weight.grad, right, {sentence: _weighted(pieces, weights)[0] for sentence, weights in wrong.items()})
    expect_type(loss, (int, float), f"the loss should come back as a plain number, not as a {type(loss).__name__}")
    losses = {sentence: _weighted(pieces, weights)[1] for sentence, weights in wrong.items()}
    losses["this is the loss of the last piece: the mean over all tokens is asked for"] = _weighted(pieces, [0, 0, 1])[
        1
    ]
    diagnose(loss, mean, losses)
    return "however the batch is cut, the gradient is that of the whole"


def _table() -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(5, 5)


def _weighted(pieces: list, weights: list[float]) -> tuple[torch.Tensor, float]:
    """The gradient and the value of a weighted sum of the pieces' mean losses."""
    model = _table()
    losses = [F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()) for inputs, targets in pieces]
    total = torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum()
    total.backward()
    return not_none(model.weight.grad, "the table has no gradient"), total.item()


@exercise(
    chapter=CHAPTER,
    hints=(
        "Walk through the lines in their order; `json.loads` turns one into a dictionary, or raises a `ValueError`.",
        "What follows the last whole line is lost; a line that is cut off can only be the last.",
        "When a step comes that is not above the last one, the run was resumed: everything from that step on is "
        "run again.",
        "Before you append a record, keep only those with a smaller step: "
        "`records = [one for one in records if one['step'] < new['step']]`.",
    ),
)
def tidy_log(attempt):
    """Return the records of a run's log lines, without a cut-off last line and without steps that were run again."""
    plain = [_line(step, 4.0 - step) for step in (1, 2, 3)]
    expect_type(answer := attempt(plain), list, f"a list of dictionaries is asked for, not a {type(answer).__name__}")
    expect(len(answer) == 3 and answer[0] != plain[0], "each line should become a dictionary: `json.loads`")
    diagnose(_steps(answer), [1, 2, 3], {})
    cut = attempt([*plain, _line(4, 0.5)[:12]])
    diagnose(_steps(cut), [1, 2, 3], {"the line before the one that is cut off is lost, too": [1, 2]})
    first = [_line(step, 4.0) for step in (1, 2, 3, 4, 5)]
    resumed = [_line(step, 3.0) for step in (3, 4)]  # it had been saved after step 2, and was killed again
    found = attempt([*first, *resumed])
    steps = {
        "steps that were run again stand there twice": [1, 2, 3, 4, 5, 3, 4],
        "step 5 belongs to the part that was taken back: it goes, too": [1, 2, 3, 4, 5],
        "what came after the resumption is lost": [1, 2],
        "steps that were run again are lost altogether": [1, 2, 5],
    }
    diagnose(_steps(found), [1, 2, 3, 4], steps)
    losses = [record["loss"] for record in found]
    diagnose(losses, [4.0, 4.0, 3.0, 3.0], {"the later record of a step is the one that counts": [4.0] * 4})
    diagnose(_steps(attempt([_line(1, 4.0), _line(2, 4.0), _line(1, 3.0)])), [1], {})
    return "this is what the trainer does to its log when a run is resumed"


def _line(step: int, loss: float) -> str:
    return json.dumps({"step": step, "loss": loss})


def _steps(records: list) -> list[int]:
    return [record["step"] for record in records]
