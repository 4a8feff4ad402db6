"""Exercises of the chapter on runs that survive: checkpoints, unequal pieces, logs, and loss curves."""

import json
import math
import statistics
from collections.abc import Callable, Iterable
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, expect_type
from minigpt.utils.errors import not_none

CHAPTER = "12_runs_that_survive"

KEYS = ("model", "optimizer", "generator", "step")


@exercise(
    chapter=CHAPTER,
    hints=(
        "Models and optimizers have a `state_dict()`, a generator has a `get_state()`.",
        "A `state_dict()` is no copy: it holds the very tensors that the next step will change.",
        "`copy.deepcopy` makes a copy of a dictionary and of everything in it.",
    ),
)
def snapshot(attempt):
    """Return a dictionary with the model's, the optimizer's and the generator's state, and the step, as they are now."""
    run = _SmallRun()
    run.train(2)
    weights, drawn = _copies(run.model.state_dict()), run.generator.get_state()
    averages = _averages(run.optimizer.state_dict())
    found = attempt(run.model, run.optimizer, run.generator, run.step)
    expect_type(found, dict, f"a dictionary is asked for, not a {type(found).__name__}")
    missing = [name for name in KEYS if name not in found]
    expect(not missing, f"the dictionary lacks {', '.join(map(repr, missing))}: the next step depends on it")
    expect(
        torch.equal(run.generator.get_state(), drawn), "something was drawn from the generator: only look at its state"
    )
    expect_type(found["model"], dict, "the model itself is kept, and it will change: keep its `state_dict()`")
    expect_type(found["optimizer"], dict, "the optimizer itself is kept, and it will change: keep its `state_dict()`")
    expect_type(
        found["generator"], Tensor, "the seed, or the generator itself, does not say how far it has come: `get_state()`"
    )
    expect("state" in found["optimizer"], "the optimizer's entry lacks its averages: keep the whole `state_dict()`")
    expect(
        _same(_averages(found["optimizer"]), averages) and len(averages) > 0,
        "the optimizer's averages are not those of this moment",
    )
    expect(torch.equal(found["generator"], drawn), "the generator's state is not that of this moment")
    expect(found["step"] == 2, f"two steps have been taken, but `step` says {found['step']}")
    expect(_same(found["model"], weights), "the weights are not those of this moment")
    run.train(3)
    expect(
        _same(found["model"], weights),
        "after three more steps the snapshot holds the new weights: `state_dict()` is no copy",
    )
    expect(
        _same(_averages(found["optimizer"]), averages),
        "after three more steps the snapshot holds the optimizer's new averages: copy these too",
    )
    expect(torch.equal(found["generator"], drawn), "after three more steps the generator's state has moved: copy it")
    again = _SmallRun(seed=1)
    again.model.load_state_dict(found["model"])
    again.optimizer.load_state_dict(found["optimizer"])
    again.generator.set_state(found["generator"])
    again.step = found["step"]
    again.train(3)
    expect(_same(again.model.state_dict(), run.model.state_dict()), "a run that goes on from it is another one")
    return "a run that goes on from here cannot tell that it was ever stopped"


class _Momentum:
    """An optimizer with one running average, and a state like that of PyTorch's optimizers."""

    def __init__(self, parameters: Iterable[nn.Parameter], memory: float = 0.9) -> None:
        self.parameters = list(parameters)
        self.memory = memory
        self.averages = [torch.zeros_like(parameter) for parameter in self.parameters]

    @property
    def defaults(self) -> dict[str, float]:
        return {"memory": self.memory}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            average.mul_(self.memory).add_(gradient)
            parameter.sub_(rate * average)
            parameter.grad = None

    def state_dict(self) -> dict:
        return {"state": {n: {"average": average} for n, average in enumerate(self.averages)}, "groups": self.defaults}

    def load_state_dict(self, state: dict) -> None:
        self.averages = [entry["average"].clone() for entry in state["state"].values()]


class _SmallRun:
    """A model, an optimizer and a generator, and steps that depend on all of them."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = nn.Linear(3, 2)
        self.optimizer = _Momentum(self.model.parameters())
        self.generator = torch.Generator().manual_seed(seed)
        self.step = 0

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.model(torch.randn(4, 3, generator=self.generator)).pow(2).mean().backward()
            self.optimizer.step(rate=0.1 / (1 + self.step))
            self.step += 1


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _averages(state: dict) -> dict[str, Tensor]:
    """The running averages in an optimizer's state, copied."""
    return {str(n): entry["average"].clone() for n, entry in state.get("state", {}).items()}


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class PowerCut(Exception):
    """The power fails."""


class Disk:
    """A toy disk that lives for so many operations; then the power fails."""

    def __init__(self, files: dict[str, str], operations: int | None = None) -> None:
        self.files = dict(files)
        self.unsafe: set[str] = set()
        self.left = operations
        self.done: list[str] = []

    def write(self, name: str, data: str) -> None:
        self.unsafe.add(name)
        self.files[name] = data
        self._spend(f"write {name}")

    def flush(self, name: str) -> None:
        self._require(name)
        self._spend(f"flush {name}")
        self.unsafe.discard(name)

    def rename(self, old: str, new: str) -> None:
        self._require(old)
        self._spend(f"rename {old} {new}")
        self.files[new] = self.files.pop(old)
        self.unsafe.discard(new)
        if old in self.unsafe:  # the name is safe, the data are not
            self.unsafe = self.unsafe - {old} | {new}

    def delete(self, name: str) -> None:
        self._require(name)
        self._spend(f"delete {name}")
        del self.files[name]
        self.unsafe.discard(name)

    def after_restart(self) -> dict[str, str]:
        """Return what is there when the power is back: what was not flushed is torn in half."""
        torn = {name: self.files[name][: len(self.files[name]) // 2] for name in self.unsafe}
        return self.files | torn

    def _require(self, name: str) -> None:
        if name not in self.files:
            raise FileNotFoundError(f"there is no file {name!r} on this disk")

    def _spend(self, what: str) -> None:
        if self.left == 0:
            raise PowerCut
        self.left = None if self.left is None else self.left - 1
        self.done.append(what)


@exercise(
    chapter=CHAPTER,
    hints=(
        "As long as the new file is not safe, do not touch the old one: write under another name, a draft.",
        "What was written may still be on its way. When is it safe on the disk?",
        "`rename` puts the draft in the old file's place in one step, so that the name is never without a file.",
    ),
    in_place=True,
)
def save_safely(attempt):
    """Save data under a name so that a power cut at any moment leaves the old file or the new one, whole."""
    old, new = "old checkpoint", "the new checkpoint"
    whole = Disk({"last": old, "log": "line 1"})
    attempt(whole, "last", new)
    expect(whole.done, "nothing was done to the disk")
    expect(whole.files.get("last") == new, "in the end, the file does not hold the new data")
    expect(whole.files.get("log") == "line 1", "another file was changed or deleted")
    left = sorted(set(whole.files) - {"last", "log"})
    expect(not left, f"in the end, a file is left over: {', '.join(left)}")
    _cut_everywhere(attempt, old, new, len(whole.done))
    fresh = Disk({})
    attempt(fresh, "first", new)
    expect(fresh.after_restart().get("first") == new, "the very first save, where there is no old file, goes wrong")
    return "whenever the power fails, there is a whole checkpoint"


def _cut_everywhere(attempt: Callable, old: str, new: str, operations: int) -> None:
    for left in range(operations + 1):
        disk = Disk({"last": old, "log": "line 1"}, left)
        with suppress(PowerCut):
            attempt(disk, "last", new)
        found = disk.after_restart().get("last")
        if found in (old, new):
            continue
        after = f"after {left} of {operations} operations"
        expect(found is not None, f"a power cut {after} leaves no checkpoint at all: the old file went too early")
        direct = "rename" not in " ".join(disk.done)
        expect(not direct, f"a power cut {after} leaves half a file: the old one is written over")
        expect(False, f"a power cut {after} leaves half a file: it got its name before it was flushed")


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


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three numbers belong together at each place: the loss, the lowest and the highest of the references there.",
        "`zip(losses, lowest, highest)` walks through all three lists; `enumerate` around it counts the places.",
        "The band with its room goes from `low - room` to `high + room`, both ends included.",
        "A loss that is `nan` is neither above nor below anything. So ask whether it is inside, and take the others.",
    ),
)
def outside_band(attempt):
    """Return the places at which a curve lies outside the band and its room."""
    losses = [4.0, 3.5, 2.6, 2.0, 1.65, 2.5]
    lowest, highest = [3.9, 3.0, 2.5, 2.2, 2.0, 1.9], [4.2, 3.4, 2.7, 2.4, 2.1, 2.0]
    found = attempt(losses, lowest, highest, 0.25)
    expect_type(found, (list, tuple), f"a list of places is asked for, not a {type(found).__name__}")
    mistakes = {
        "the room around the band is left out": [1, 3, 4, 5],
        "the room makes the band narrower here: it goes from `low - room` to `high + room`": [0, 1, 2, 3, 4, 5],
        "only places above the band are found: a loss that is too good is outside as well": [5],
        "only places below the band are found: a curve can be above it as well": [4],
        "the places count from 1 here: count from 0": [5, 6],
        "these are the losses: their places are asked for": [1.65, 2.5],
        "these are the places inside the band": [0, 1, 2, 3],
        "this says for each place whether it is outside: give the numbers of the places": [False] * 4 + [True] * 2,
    }
    diagnose(found, [4, 5], mistakes)
    edge = list(attempt([1.0, 2.5], [1.5, 1.5], [2.0, 2.0], 0.5))
    expect(edge == [], "a loss exactly on the edge of the room is still inside")
    lost = list(attempt([2.0, math.nan, 2.0], [1.5] * 3, [2.5] * 3, 0.5))
    expect(lost == [1], "a loss that is nan lies outside, although it is neither above nor below")
    return "this is the first thing that `check_run` asks of a curve"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Take the trend out first: look at the differences between neighbouring losses.",
        "Their standard deviation is a measure of the trembling, for both curves in the same way.",
        "The spread of a mean over B windows falls like 1/√B. So how does B go with the spread?",
        "`reference_batch_size * (reference_spread / own_spread) ** 2`",
    ),
)
def estimate_batch_size(attempt):
    """Estimate a run's batch size from the trembling of its losses beside a reference with a known batch size."""
    trend = [4.0 - step / 750 for step in range(1500)]  # long, so that all ways to measure a spread agree
    dice = torch.Generator().manual_seed(11)
    losses, references = (
        [value + spread * noise for value, noise in zip(trend, torch.randn(1500, generator=dice).tolist(), strict=True)]
        for spread in (0.16, 0.06)
    )
    found = attempt(losses, references, 32)
    ratio = 0.06 / 0.16
    plain = statistics.stdev(references) / statistics.stdev(losses)
    mistakes = {
        "upside down: more trembling means a smaller batch": 32 / ratio**2,
        "the square is missing: the spread falls with the root of the batch size": 32 * ratio,
        "the root is taken instead of the square": 32 * math.sqrt(ratio),
        "the trend counts as trembling here: take the differences of neighbours first": 32 * plain**2,
        "this is the ratio of the batch sizes: multiply by the reference's": ratio**2,
    }
    diagnose(found, 32 * ratio**2, mistakes, rtol=0.15)
    same = attempt(references, references, 8)
    expect_close(same, 8.0, "a curve beside itself should give the reference's own batch size")
    return "the trembling knows the batch size, whatever the learning rate is"
