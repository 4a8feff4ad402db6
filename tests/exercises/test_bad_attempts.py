"""Whatever a reader hands to a checker, it says something helpful, returns False, and neither raises nor hangs."""

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from minigpt.exercises.engine.checking import Exercise
from minigpt.exercises.engine.loading import all_exercises

EXERCISES = list(all_exercises().values())
SOON = 0.05  # seconds, instead of ten


class Awkward:
    """An answer that raises at whatever is done with it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("do not touch")

    __eq__ = __len__ = __iter__ = __bool__ = __repr__ = __float__ = __getitem__ = lambda *_: 1 / 0
    __hash__ = None


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def spoil(value: Any) -> None:
    """Change an input in place, as far as that is possible."""
    if isinstance(value, torch.Tensor):
        with torch.no_grad():
            value.zero_()
    elif isinstance(value, (list, dict, set)):
        value.clear()
    elif isinstance(value, nn.Module):
        for parameter in value.parameters():
            spoil(parameter)


def change_the_inputs(*arguments: Any, **named: Any) -> float:
    for value in [*arguments, *named.values()]:
        spoil(value)
    return 0.5


def loop_for_ever(*arguments: Any, **named: Any) -> None:
    while True:
        pass


def count_for_ever(*arguments: Any, **named: Any) -> Iterator[int]:
    yield from itertools.count()


def raise_it(error: BaseException) -> Callable[..., Any]:
    def attempt(*arguments: Any, **named: Any) -> None:
        raise error

    return attempt


def returns(make: Callable[[], Any]) -> Callable[..., Any]:
    return lambda *arguments, **named: make()


def talk_and_leave(*arguments: Any, **named: Any) -> None:
    print("\N{PILE OF POO}\0" * 10)
    sys.exit(3)


ATTEMPTS: dict[str, Callable[..., Any]] = {
    "changes its inputs": change_the_inputs,
    "loops for ever": loop_for_ever,
    "is a generator without end": count_for_ever,
    "returns an iterator without end": returns(itertools.count),
    "returns what cannot be touched": returns(Awkward),
    "returns its own type": returns(lambda: int),
    "returns not-a-number": returns(lambda: torch.full((3, 4, 5), torch.nan)),
    "returns numbers without a shape": returns(lambda: torch.tensor(torch.inf)),
    "returns complex numbers": returns(lambda: torch.ones(2, 2, dtype=torch.complex64)),
    "returns a tensor without values": returns(lambda: torch.empty(2, 3, device="meta")),
    "returns a deep list": returns(lambda: [[[[[]]]]]),
    "returns half a character": returns(lambda: "\ud800"),
    "returns itself": lambda *arguments, **named: ATTEMPTS["returns itself"],
    "calls itself for ever": lambda *arguments, **named: ATTEMPTS["calls itself for ever"](*arguments, **named),
    "leaves the program": talk_and_leave,
    "stops a generator": raise_it(GeneratorExit()),
    "stops an iteration": raise_it(StopIteration()),
    "raises what cannot be told": raise_it(Unspeakable()),
    "raises several lines": raise_it(ValueError("one\ntwo\nthree")),
    "runs out of memory": raise_it(MemoryError()),
}


def of_the_right_kind(attempt: Callable[..., Any], exercise: Exercise) -> Callable[..., Any]:
    """Return the attempt as what the exercise asks for: itself, or a class all of whose methods are it."""
    if exercise.kind == "function":
        return attempt
    if exercise.kind == "module":
        return type(
            "Attempt", (nn.Module,), {"__init__": lambda self, *_, **__: nn.Module.__init__(self), "forward": attempt}
        )
    names = dict.fromkeys(("__call__", "__len__", "__iter__", "__getitem__", "__next__"), attempt)
    return type("Attempt", (), {"__init__": lambda self, *_, **__: None, "__getattr__": lambda *_: attempt, **names})


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_every_checker_says_something_helpful(attempt, capsys):
    for one in EXERCISES:
        limited = replace(one, seconds=SOON)
        assert limited(of_the_right_kind(attempt, one)) is False, one.name
        told = capsys.readouterr().out
        assert one.name in told and "Traceback" not in told and "choose another input" not in told
        assert len(told.splitlines()) <= 13  # two of ours, and what the attempt printed


def test_even_an_attempt_that_catches_everything_comes_to_an_end():
    def stubborn(*arguments: Any, **named: Any) -> None:
        while True:
            try:
                sum(range(100))
            except:  # noqa: E722
                continue

    outcome = replace(EXERCISES[0], seconds=SOON).examine(stubborn)
    assert outcome.verdict == "wrong" and "still running after 0.05 seconds" in outcome.message
