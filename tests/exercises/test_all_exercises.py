"""Every exercise of the book: solutions pass, stubs are seen, wrong answers are caught and named, pages agree."""

import importlib
import linecache
import pkgutil
import re
import time
from collections import Counter
from pathlib import Path

import matplotlib
import nbformat
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


@each_chapter
def test_the_solutions_pass_in_under_two_seconds_each(chapter, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIGPT_TIER", "smoke")
    seconds: dict[str, float] = {}
    examine = Exercise.examine

    def timed(exercise: Exercise, attempt: object):
        wall, cpu = time.perf_counter(), time.process_time()
        outcome = examine(exercise, attempt)
        seconds[exercise.name] = min(time.perf_counter() - wall, time.process_time() - cpu)
        return outcome

    monkeypatch.setattr(Exercise, "examine", timed)
    cells = code_cells(CHAPTERS_FOLDER / "solutions" / f"{chapter}.ipynb")
    run_cells(cells, f"solutions/{chapter}")
    names = [exercise.name for exercise in EXERCISES if exercise.chapter == chapter]
    assert [name for name in names if f"assert check.{name}(" not in "\n".join(cells)] == []
    assert set(names) <= set(seconds)
    assert {name: spent for name, spent in seconds.items() if spent >= 2} == {}


def run_cells(cells: list[str], title: str) -> None:
    namespace = {"__name__": "__main__", "display": lambda *values: None}
    for number, cell in enumerate(cells):
        source = re.sub(r"^(\s*)[%!].*$", r"\1pass", cell, flags=re.MULTILINE)
        filename = f"<{title}, cell {number}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        exec(compile(source, filename, "exec"), namespace)
