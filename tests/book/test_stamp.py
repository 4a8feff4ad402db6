import json
from pathlib import Path

import pytest

from scripts import stamp

ROOT = Path(__file__).parents[2]
ADDRESS = stamp.Address("someone", "some-fork")
LAPTOP = {"machine": "a laptop, 2 cores", "date": "2026-11-21"}
MEASUREMENTS = {
    "smoke": {"01_characters": {"seconds": 4.2, "peak_memory_mb": 310} | LAPTOP},
    "cpu": {"01_characters": {"seconds": 200, "peak_memory_mb": 420} | LAPTOP},
}


def notebook(*cells: dict) -> str:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def markdown(text: str) -> dict:
    return {"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}


def cells_of(text: str) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


def test_every_file_of_the_book_is_stamped():
    stale = [path.name for path in stamp.stale_files(ROOT, stamp.read_address(ROOT))]
    assert not stale, "run `make stamp`"


def test_a_bare_chapter_gains_its_link_its_times_and_its_setup_cell():
    text = stamp.stamp_notebook(notebook(markdown("# Title\n\nText.")), "chapters/01_characters.ipynb", ADDRESS, {})
    header, setup = cells_of(text)
    link = "https://colab.research.google.com/github/someone/some-fork/blob/main/chapters/01_characters.ipynb"
    assert header == f"# Title\n\n[Open in Colab]({link})\n\n**Measured:** not yet.\n\nText."
    assert setup.endswith("    %pip install --quiet git+https://github.com/someone/some-fork")


def test_a_solution_carries_no_times():
    path = "chapters/solutions/01_characters.ipynb"
    header, _ = cells_of(stamp.stamp_notebook(notebook(markdown("# Title")), path, ADDRESS, MEASUREMENTS))
    assert path in header
    assert "Measured" not in header


def test_a_second_stamp_changes_nothing():
    path = "chapters/01_characters.ipynb"
    once = stamp.stamp_notebook(notebook(markdown("# Title\n\nText.")), path, ADDRESS, MEASUREMENTS)
    assert stamp.stamp_notebook(once, path, ADDRESS, MEASUREMENTS) == once


def test_a_new_address_and_new_times_replace_the_old_ones():
    path = "chapters/01_characters.ipynb"
    old = stamp.stamp_notebook(notebook(markdown("# Title")), path, stamp.Address("old", "book"), {})
    header, setup = cells_of(stamp.stamp_notebook(old, path, ADDRESS, MEASUREMENTS))
    assert "old/book" not in header + setup
    assert header.endswith("**Measured:** smoke 4 s, 310 MB; cpu 3 min, 420 MB (a laptop, 2 cores, 2026-11-21).")


def test_measured_names_each_machine_once():
    card = {"machine": "a graphics card", "date": "2026-12-01"}
    measurements = MEASUREMENTS | {"gpu": {"01_characters": {"seconds": 12, "peak_memory_mb": 2000} | card}}
    sentence = stamp.measured("01_characters", measurements)
    assert sentence.count("a laptop") == 1
    assert sentence.endswith("; gpu 12 s, 2000 MB (a graphics card, 2026-12-01).")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("git+https://github.com/old/book", "git+https://github.com/someone/some-fork"),
        ("(https://github.com/old/book/issues).", "(https://github.com/someone/some-fork/issues)."),
        ("https://old.github.io/book/", "https://someone.github.io/some-fork/"),
        (
            "https://colab.research.google.com/github/old/book/blob/main",
            "https://colab.research.google.com/github/someone/some-fork/blob/main",
        ),
        (
            "| [Characters](chapters/01_characters.ipynb) | text to numbers | – | – | – |",
            "| [Characters](chapters/01_characters.ipynb) | text to numbers | 4 s | 3 min | 420 MB |",
        ),
    ],
)
def test_pages_follow_the_address_and_the_times(before, after):
    assert stamp.stamp_page(before, ADDRESS, MEASUREMENTS) == after
