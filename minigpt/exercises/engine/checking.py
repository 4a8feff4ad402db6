"""The core of the checkers: an `Exercise` judges an attempt and says in one line what it thinks of it.

Whatever the attempt raised becomes one sentence, with the learner's own line where there is one.
"""

import functools
import inspect
import linecache
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Literal

from torch import nn

from minigpt.exercises.engine.expectations import Mistake, NotAttempted, expect
from minigpt.exercises.engine.guard import accepting, guard
from minigpt.exercises.engine.isolation import TimeUp, same_surroundings, time_box

Kind = Literal["function", "class", "module"]
SYMBOLS = {"right": "✓", "wrong": "✗", "unattempted": "○"}
PACKAGE = Path(__file__).resolve().parents[2]
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


@dataclass(frozen=True)
class Outcome:
    """What a checker found: its verdict and one sentence."""

    verdict: Literal["right", "wrong", "unattempted"]
    message: str


@dataclass(frozen=True)
class Exercise:
    """One exercise of a chapter: calling it with an attempt prints the outcome and returns whether it is right."""

    name: str
    chapter: str
    hints: tuple[str, ...]
    checker: Callable[[Callable], str | None]
    kind: Kind = "function"
    in_place: bool = False
    seconds: float = 10.0
    without: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """What the exercise asks for, in one sentence."""
        return _sentence(" ".join((inspect.getdoc(self.checker) or "").split("\n\n")[0].split()))

    def examine(self, attempt: object) -> Outcome:
        """Judge an attempt; only KeyboardInterrupt escapes."""
        used: set[str] = set()
        try:
            with same_surroundings(), time_box(self.seconds):
                remark = self.checker(self._prepare(attempt, used))
        except KeyboardInterrupt:
            raise
        except Mistake as mistake:
            return Outcome("wrong", _sentence(str(mistake)))
        except NotAttempted as reason:
            detail = f" ({reason})" if str(reason) else ""
            return Outcome("unattempted", f"not attempted yet{detail}. {self.spec}")
        except BaseException as error:
            if _is_stub(error):
                return Outcome("unattempted", f"not attempted yet. {self.spec}")
            kind = "class" if inspect.isclass(attempt) else "function"
            return Outcome("wrong", _sentence(_explain(error, kind, self.checker.__code__)))
        if used:
            names = " and ".join(f"`{name}`" for name in sorted(used))
            return Outcome("wrong", f"the answer is right, but the exercise asks you to do without {names}.")
        return Outcome("right", _sentence(remark or "correct"))

    def __call__(self, *attempts: object, **named: object) -> bool:
        if len(attempts) == 1 and not named:
            outcome = self.examine(attempts[0])
        else:
            outcome = Outcome("wrong", f"give it one thing, your own {self._noun}: check.{self.name}({self.name}).")
        pointer = "" if outcome.verdict == "right" else f'\n  For a nudge: hints("{self.name}")'
        _print(f"{SYMBOLS[outcome.verdict]} {self.name}: {outcome.message}{pointer}")
        return outcome.verdict == "right"

    @property
    def _noun(self) -> str:
        return "function" if self.kind == "function" else "class"

    def _prepare(self, attempt: Any, used: set[str]) -> Callable:
        if attempt is None or attempt is ...:
            raise NotAttempted("")
        if self.kind == "function":
            expect(not inspect.isclass(attempt), "a function is asked for, but this is a class")
        else:
            expect(inspect.isclass(attempt), "a class is asked for: pass the class itself, without brackets after it")
        if self.kind == "module":
            expect(issubclass(attempt, nn.Module), "your class should inherit from `nn.Module`")
        expect(callable(attempt), "pass the function itself, not what it returns: no brackets after its name")
        plain = inspect.isroutine(attempt) or isinstance(attempt, functools.partial)
        if not plain:
            return attempt
        return accepting(attempt) if self.in_place else guard(attempt, self.without, used)


def exercise(
    chapter: str,
    hints: tuple[str, ...],
    kind: Kind = "function",
    in_place: bool = False,
    without: tuple[str, ...] = (),
    seconds: float = 10.0,
) -> Callable[[Callable], Exercise]:
    """Turn a checker function into an `Exercise` of the same name; its docstring is the spec shown to learners.

    `kind` is what the learner writes: a function, any class, or a subclass of `nn.Module`. `in_place=True` is for a
    function that is meant to change its inputs and return None. `without` names what a function must not call, such as
    `layer_norm`, or `autograd`. The checker may return a sentence to praise with.
    """

    def register(checker: Callable[[Callable], str | None]) -> Exercise:
        if not checker.__doc__:
            raise ValueError(f"the exercise {checker.__name__} needs a docstring: one sentence that says what it asks")
        return Exercise(checker.__name__, chapter, tuple(hints), checker, kind, in_place, seconds, without)

    return register


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "…")) else text + "."


def _print(text: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _explain(error: BaseException, kind: str, checker: CodeType) -> str:
    """One sentence about an exception that escaped while a checker ran an attempt of this kind."""
    place = _learner_place(error, checker)
    name = type(error).__name__
    if isinstance(error, TimeUp):
        return f"your {kind} was still running after {error}{place}: does a loop never end?"
    if isinstance(error, RecursionError):
        return f"your {kind} calls itself without end (RecursionError{place}): where does it stop?"
    if place:
        return f"your code raised {name}{place}: {_first_line(error)}"
    return f"using your {kind} or its answer failed with {name}: {_first_line(error)}"


def _is_stub(error: BaseException) -> bool:
    """Whether the exception comes from a `raise NotImplementedError`, rather than from an operation torch lacks."""
    if not isinstance(error, NotImplementedError):
        return False
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    return not source or re.search(r"\braise\b.*NotImplementedError", source) is not None


def _learner_place(error: BaseException, checker: CodeType) -> str:
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code is not checker and not _in_library(frame.f_code.co_filename):
            source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
            return f" in line {line}" + (f", `{source[:80]}`" if source else "")
    return ""


def _in_library(filename: str) -> bool:
    path = Path(filename)
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    inside = path.is_relative_to(PACKAGE) or path.is_relative_to(STANDARD_LIBRARY)
    return bool(installed) or inside or filename.startswith("<frozen")


def _first_line(error: BaseException, limit: int = 200) -> str:
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    return lines[0][:limit] if lines else "it gave no message"
