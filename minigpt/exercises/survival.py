"""Exercises on what a checkpoint must hold, and on how it gets onto the disk."""

from collections.abc import Callable, Iterable
from contextlib import suppress

import torch
from torch import Tensor, nn

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import expect, expect_type

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
