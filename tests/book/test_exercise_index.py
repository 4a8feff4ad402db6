"""The index of exercises: complete, in order, and each line leads to a heading that is really there."""

from pathlib import Path

import pytest

from minigpt.exercises.engine.loading import all_exercises

pytest.importorskip("mdit_py_plugins")

from exercise_index import BLOCK, HEADING, cells, entries, index

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(ROOT.glob("chapters/[0-9]*.ipynb"))
ENTRIES = [entry for path in CHAPTERS for entry in entries(path)]


def test_every_exercise_of_a_written_chapter_is_in_the_index_once():
    written = {path.stem for path in CHAPTERS}
    expected = sorted(name for name, exercise in all_exercises().items() if exercise.chapter in written)
    assert sorted(name for entry in ENTRIES for name in entry.names) == expected


def test_they_are_numbered_through():
    for path in CHAPTERS:
        numbers = [entry.number for entry in entries(path)]
        assert numbers == [f"{int(path.stem[:2])}.{n}" for n in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_solutions_have_the_same_headings(path):
    solutions = "\n".join(s for kind, s in cells(path.parent / "solutions" / path.name) if kind == "markdown")
    assert {entry.heading for entry in entries(path)} <= {found[1] for found in HEADING.finditer(solutions)}


def test_a_line_says_what_is_asked_and_links_to_both_pages():
    line = ENTRIES[0].line
    assert "(../chapters/00_welcome.ipynb#exercise-01-" in line
    assert "(../chapters/solutions/00_welcome.ipynb#exercise-01-" in line
    assert all_exercises()[ENTRIES[0].names[0]].spec in line


def test_a_power_is_not_taken_for_bold_type():
    (line,) = (entry.line for entry in ENTRIES if entry.names == ("optimal_split",))
    assert r"N\*\*alpha" in line


def test_the_index_stands_on_its_page():
    assert len(BLOCK.findall((ROOT / "book" / "exercises.md").read_text("utf-8"))) == 1
    assert index().count("\n- **[") == len(ENTRIES)
