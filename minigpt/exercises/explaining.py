"""Turns whatever an attempt raised into one sentence, with the learner's own line where there is one."""

import linecache
import sysconfig
import traceback
from pathlib import Path
from types import CodeType

from minigpt.exercises.isolation import TimeUp

PACKAGE = Path(__file__).resolve().parents[1]
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def explain(error: BaseException, kind: str, checker: CodeType) -> str:
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


def is_stub(error: BaseException) -> bool:
    """Whether the exception comes from a `raise NotImplementedError`, rather than from an operation torch lacks."""
    if not isinstance(error, NotImplementedError):
        return False
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    return not source or "NotImplementedError" in source


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
