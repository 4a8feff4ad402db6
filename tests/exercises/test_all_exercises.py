"""Every exercise of the book: solutions pass, stubs are seen, wrong answers are caught and named, pages agree."""

import contextlib
import functools
import importlib
import linecache
import os
import pkgutil
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib
import nbformat
import numpy
import pytest
import torch
from torch import nn

import known_wrong
from known_wrong import Wrong
from minigpt.exercises.engine.checking import Exercise
from minigpt.exercises.engine.display import hints, quiz
from minigpt.exercises.engine.loading import all_exercises

CHAPTERS_FOLDER = Path(__file__).parents[2] / "chapters"
CHAPTERS = sorted(path.stem for path in CHAPTERS_FOLDER.glob("[0-9][0-9]_*.ipynb"))
EXERCISES = list(all_exercises().values())
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def wrong_answers() -> dict[str, list[Wrong]]:
    names = [module.name for module in pkgutil.iter_modules(known_wrong.__path__)]
    tables = [importlib.import_module(f"known_wrong.{name}").WRONG for name in names]
    return {name: answers for table in tables for name, answers in table.items()}


WRONG = wrong_answers()


def code_cells(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def stub_function(*arguments, **named):
    raise NotImplementedError


def silent_function(*arguments, **named):
    return None


class StubModule(nn.Module):
    def __init__(self, *arguments, **named):
        super().__init__()

    def forward(self, *arguments, **named):
        raise NotImplementedError


class StubClass:
    def __init__(self, *arguments, **named):
        raise NotImplementedError


@each_exercise
def test_a_stub_is_not_attempted(exercise):
    stubs = {"function": [stub_function], "module": [StubModule], "class": [StubClass]}[exercise.kind]
    if exercise.kind == "function" and not exercise.in_place:
        stubs.append(silent_function)
    assert [exercise.examine(stub).verdict for stub in stubs] == ["unattempted"] * len(stubs)


@each_exercise
def test_nonsense_gets_a_sentence(exercise):
    answers = [7, "text", [], float("nan"), torch.full((2, 2), float("nan")), object(), {}, (1, None), torch.zeros(0)]
    attempts = [lambda *_, _answer=answer, **__: _answer for answer in answers]
    for attempt in [*attempts, 7, "text", object(), int, nn.Module, lambda: 1, lambda *_, **__: 1 / 0]:
        outcome = exercise.examine(attempt)
        assert outcome.verdict != "right"
        assert outcome.message.strip() and "Traceback" not in outcome.message


@each_exercise
def test_there_are_two_to_four_hints(exercise):
    assert 2 <= len(exercise.hints) <= 4 and all(text.strip() for text in exercise.hints)
    assert hints(exercise.name)._repr_html_().count("<details") == len(exercise.hints)


@each_exercise
def test_at_least_four_wrong_answers_are_caught_and_named(exercise):
    answers = WRONG.get(exercise.name, [])
    assert len(answers) >= 4
    outcomes = [exercise.examine(answer.attempt) for answer in answers]
    for answer, outcome in zip(answers, outcomes, strict=True):
        assert outcome.verdict == "wrong", f"passed, but should say: {answer.says}"
        assert answer.says in outcome.message
    repeated = [message for message, count in Counter(one.message for one in outcomes).items() if count > 1]
    assert not repeated, "each wrong answer needs a message of its own"


@each_exercise
def test_the_chapter_offers_the_exercise(exercise):
    source = "\n".join(code_cells(CHAPTERS_FOLDER / f"{exercise.chapter}.ipynb"))
    assert f"check.{exercise.name}(" in source
    assert re.search(rf"""hints\(["']{exercise.name}["']\)""", source)


def test_every_wrong_answer_belongs_to_an_exercise():
    assert set(WRONG) <= set(all_exercises())


def test_one_file_a_chapter_and_one_beside_it_with_wrong_answers():
    files = {exercise.checker.__module__: exercise.chapter for exercise in EXERCISES}
    assert sorted(files.values()) == CHAPTERS
    assert all({exercise.chapter} == {files[exercise.checker.__module__]} for exercise in EXERCISES)
    assert sorted(name.rpartition(".")[2] for name in files) == sorted(
        module.name for module in pkgutil.iter_modules(known_wrong.__path__)
    )


@each_chapter
def test_the_exercises_come_in_the_order_of_the_chapter(chapter):
    cells = "\n".join(code_cells(CHAPTERS_FOLDER / f"{chapter}.ipynb"))
    offered = dict.fromkeys(re.findall(r"\bcheck\.(\w+)\(", cells))
    assert [exercise.name for exercise in EXERCISES if exercise.chapter == chapter] == list(offered)


@each_chapter
def test_a_chapter_has_three_exercises_and_a_quiz(chapter):
    assert sum(exercise.chapter == chapter for exercise in EXERCISES) >= 3
    assert re.search(rf"""quiz\(["']{chapter}["']\)""", "\n".join(code_cells(CHAPTERS_FOLDER / f"{chapter}.ipynb")))
    assert quiz(chapter)._repr_html_().count('class="question"') == 5


@cache
def solutions(chapter: str) -> dict[str, tuple[Any, float]]:
    """Run a page of solutions and return each one with the seconds that its check took."""
    found: dict[str, tuple[Any, float]] = {}
    examine = Exercise.examine

    def timed(exercise: Exercise, attempt: object):
        wall, cpu = time.perf_counter(), time.process_time()
        outcome = examine(exercise, attempt)
        found[exercise.name] = attempt, min(time.perf_counter() - wall, time.process_time() - cpu)
        return outcome

    matplotlib.use("Agg")
    environment = mock.patch.dict(os.environ, MINIGPT_TIER="smoke")
    watched = mock.patch.object(Exercise, "examine", timed)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), environment, watched:
        run_cells(code_cells(CHAPTERS_FOLDER / "solutions" / f"{chapter}.ipynb"), f"solutions/{chapter}")
    return found


@each_chapter
def test_the_solutions_pass_in_under_two_seconds_each(chapter):
    cells = code_cells(CHAPTERS_FOLDER / "solutions" / f"{chapter}.ipynb")
    names = [exercise.name for exercise in EXERCISES if exercise.chapter == chapter]
    assert [name for name in names if f"assert check.{name}(" not in "\n".join(cells)] == []
    assert set(names) <= set(solutions(chapter))
    assert {name: spent for name, (_, spent) in solutions(chapter).items() if spent >= 2} == {}


def run_cells(cells: list[str], title: str) -> None:
    namespace = {"__name__": "__main__", "display": lambda *values: None}
    for number, cell in enumerate(cells):
        source = re.sub(r"^(\s*)[%!].*$", r"\1pass", cell, flags=re.MULTILINE)
        filename = f"<{title}, cell {number}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        exec(compile(source, filename, "exec"), namespace)


def in_numpy(one: Any) -> Any:
    """Numbers and tensors as NumPy's, and lists as tuples."""
    if isinstance(one, bool | int | float):
        return numpy.asarray(one)[()]
    if isinstance(one, torch.Tensor) and one.dim() and one.dtype != torch.bfloat16:
        return one.detach().numpy()
    return tuple(one) if type(one) is list else one


def in_pytorch(one: Any) -> Any:
    """Numbers as tensors without dimensions, and tensors of float64."""
    if isinstance(one, float):
        return torch.tensor(one, dtype=torch.float64)
    if isinstance(one, bool | int):
        return torch.tensor(one)
    return one.double() if isinstance(one, torch.Tensor) and one.dtype == torch.float32 else one


def in_python(one: Any) -> Any:
    """Tensors without dimensions as numbers, unless they have a graph, and tuples as lists."""
    if isinstance(one, torch.Tensor) and one.dim() == 0 and not one.requires_grad:
        return one.item()
    return list(one) if type(one) is tuple else one


OTHER_TYPES = {"NumPy's": in_numpy, "PyTorch's": in_pytorch, "Python's": in_python}
COPIES = {"snapshot"}  # where other types are copies, which mends what is wrong


def throughout(answer: Any, change: Callable[[Any], Any]) -> Any:
    """Change an answer, and what is inside its lists, tuples and dictionaries."""
    if type(answer) in (list, tuple):
        answer = type(answer)(throughout(item, change) for item in answer)
    if type(answer) is dict:
        answer = {key: throughout(item, change) for key, item in answer.items()}
    return change(answer)


def answering(attempt: Any, change: Callable[[Any], Any]) -> Any:
    """The attempt, with its answers changed."""
    if not isinstance(attempt, type):
        return functools.wraps(attempt)(lambda *some, **named: throughout(attempt(*some, **named), change))
    forward = attempt.forward
    return type(attempt.__name__, (attempt,), {"forward": lambda self, *some: throughout(forward(self, *some), change)})


@pytest.mark.parametrize("types", OTHER_TYPES)
@each_exercise
def test_a_right_answer_is_right_in_other_types(exercise, types):
    attempt, _ = solutions(exercise.chapter)[exercise.name]
    outcome = exercise.examine(answering(attempt, OTHER_TYPES[types]))
    assert outcome.verdict == "right", outcome.message


@pytest.mark.slow
@pytest.mark.parametrize("types", OTHER_TYPES)
@each_exercise
def test_a_wrong_answer_is_wrong_in_other_types(exercise, types):
    for wrong in WRONG[exercise.name] if exercise.name not in COPIES else []:
        outcome = exercise.examine(answering(wrong.attempt, OTHER_TYPES[types]))
        assert outcome.verdict == "wrong", f"passed, but should say: {wrong.says}"
