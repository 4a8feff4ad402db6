"""Finds the exercises: every `Exercise` in the file of each chapter, imported on first use."""

import difflib
import importlib
import pkgutil
from functools import cache
from pathlib import Path

from minigpt.exercises.engine.checking import Exercise
from minigpt.utils.errors import UserError


@cache
def all_exercises() -> dict[str, Exercise]:
    """Return every exercise by name, in the order of the chapters; raises ValueError when two share a name."""
    found: dict[str, Exercise] = {}
    files = [one for one in pkgutil.iter_modules([str(Path(__file__).parents[1])]) if not one.ispkg]
    for file in files:
        for value in vars(importlib.import_module(f"minigpt.exercises.{file.name}")).values():
            if isinstance(value, Exercise) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"two exercises are called {value.name}")
    return dict(sorted(found.items(), key=lambda item: item[1].chapter))


def find_exercise(name: str) -> Exercise:
    """Return the exercise of this name; raises UserError with the nearest names when there is none."""
    exercises = all_exercises()
    if name in exercises:
        return exercises[name]
    close = difflib.get_close_matches(str(name), exercises, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(close)}?" if close else "`dir(check)` lists them all."
    raise UserError(f"There is no exercise called {name!r}: {advice}")


class Check:
    """The exercises as attributes: `check.encode_text(my_function)`."""

    def __getattr__(self, name: str) -> Exercise:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return find_exercise(name)
        except UserError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return list(all_exercises())

    def __repr__(self) -> str:
        return "\n".join(f"check.{one.name}: {one.spec}" for one in all_exercises().values())
