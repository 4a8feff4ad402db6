"""Figures are numbered chapter by chapter, and a number in the text belongs to one."""

import json
import re
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document
from figure_numbers import CHAPTER, NUMBER, is_picture, number_figures

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("chapters/**/*.ipynb"))


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text("utf-8"))["cells"]


def figures_of(path: Path) -> int:
    """Return how many cells say in words what their picture shows, as every cell with a picture has to."""
    return sum("alt" in cell["metadata"].get("mystnb", {}).get("image", {}) for cell in cells_of(path))


CHAPTERS = [path for path in NOTEBOOKS if CHAPTER.fullmatch(path.relative_to(ROOT).with_suffix("").as_posix())]
COUNTS = {int(path.stem[:2]): figures_of(path) for path in CHAPTERS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_number_in_the_text_is_that_of_a_figure(path):
    prose = "\n".join("".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    for number in NUMBER.findall(re.sub(r"`[^`]*`", "", prose)):
        chapter, count = map(int, number.split("."))
        assert 1 <= count <= COUNTS[chapter], number


def output(*forms: str) -> nodes.container:
    shown = nodes.container(nb_element="mime_bundle")
    shown += [nodes.container(mime_type=form) for form in forms]
    return shown


def test_only_pictures_count():
    assert is_picture(output("image/svg+xml", "text/plain"))
    assert not is_picture(output("text/html", "text/plain"))
    assert not is_picture(nodes.container())


def test_a_picture_becomes_a_figure_with_an_anchor_and_its_number():
    document = new_document("page")
    document += [output("image/png"), output("text/plain"), output("image/svg+xml")]
    assert number_figures(document, 7) == ["7.1", "7.2"]
    first, second = document.findall(nodes.figure)
    assert (first["ids"], second["ids"]) == (["figure-7-1"], ["figure-7-2"])
    assert second.astext().strip() == "Figure 7.2"
    assert isinstance(document.children[1], nodes.container)
