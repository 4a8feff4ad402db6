"""Equations are numbered through, chapter by chapter; a number in the text belongs to one."""

import json
import re
from pathlib import Path

import pytest
from docutils import nodes
from equation_links import NUMBER, TAG, name_equations

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("chapters/[0-9]*.ipynb")), ROOT / "chapters" / "appendix_many_gpus.ipynb"]
SOLUTIONS = sorted(ROOT.glob("chapters/solutions/*.ipynb"))


def prose_of(path: Path) -> str:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


TAGS = {path.stem: TAG.findall(prose_of(path)) for path in PAGES}
KNOWN = {number for numbers in TAGS.values() for number in numbers}


@pytest.mark.parametrize("stem", TAGS)
def test_equations_are_numbered_through(stem):
    prefix = str(int(stem[:2])) if stem[:2].isdigit() else "M"
    assert TAGS[stem] == [f"{prefix}.{n}" for n in range(1, len(TAGS[stem]) + 1)]


@pytest.mark.parametrize("path", [*PAGES, *SOLUTIONS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_number_in_the_text_is_that_of_an_equation(path):
    words = re.sub(r"\$[^$]*\$|`[^`]*`", "", prose_of(path))
    assert not set(NUMBER.findall(words)) - KNOWN


def test_an_equation_gets_its_anchor():
    equation = nodes.math_block("", r"a = b \tag{4.4}")
    assert name_equations(equation) == ["4.4"]
    assert equation["ids"] == ["equation-4-4"]
