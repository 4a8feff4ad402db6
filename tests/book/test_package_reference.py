"""The pages on the package: no exported name is left out, and Markdown's docstrings are read as they are meant."""

import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

import minigpt

pytest.importorskip("sphinx")

from package_reference import (
    BLOCK,
    entry,
    expand,
    find,
    rewrite_docstring,
    skip_foreign,
    to_restructured_text,
)

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text("utf-8") for path in sorted(ROOT.glob("book/api_*.md"))}
NAMES = [name for page in PAGES.values() for block in BLOCK.findall(page) for name in block.split()]


def test_every_exported_name_has_its_entry_and_only_one():
    assert set(minigpt.__all__) <= set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_stands_for_something_with_a_docstring(name):
    thing = find(name)
    documented = thing if isinstance(thing, ModuleType) or (callable(thing) and inspect.getdoc(thing)) else type(thing)
    assert inspect.getdoc(documented)


def test_a_list_of_names_becomes_directives():
    text = expand("# Title\n\n```{package}\nGPT\ngenerate\nminigpt.notebook.plots\n```\n\nText.\n")
    assert ".. autoclass:: minigpt.GPT\n   :members:" in text
    assert ".. autofunction:: minigpt.generate\n" in text
    assert ".. automodule:: minigpt.notebook.plots\n   :members:" in text
    assert text.startswith("# Title\n\n```{eval-rst}\n.. autosummary::") and text.endswith("```\n\nText.\n")
    assert re.findall(r"^   ~(minigpt\.\w+)$", text, re.MULTILINE) == ["minigpt.GPT", "minigpt.generate"]


def test_an_instance_is_data():
    documented = entry("minigpt.exercises.engine.checking.SYMBOLS")
    assert documented.startswith(".. autodata::") and ":no-value:" in documented


def test_the_first_words_of_a_property_are_not_its_type():
    napoleon = pytest.importorskip("sphinx.ext.napoleon")
    lines = ["All voices together: what to train on."]
    rewrite_docstring(None, "property", "split", None, None, lines)
    read = napoleon.GoogleDocstring(lines, napoleon.Config(), what="property", name="split").lines()
    assert read[:2] == ["\\", "All voices together: what to train on."]


@pytest.mark.parametrize("config", [minigpt.GPTConfig, minigpt.TrainConfig])
def test_a_configuration_lists_its_fields_with_their_help(config):
    napoleon = pytest.importorskip("sphinx.ext.napoleon")
    lines = inspect.getdoc(config).split("\n")
    rewrite_docstring(None, "class", config.__name__, config, None, lines)
    read = napoleon.GoogleDocstring(lines, napoleon.Config(), what="class", name=config.__name__).lines()
    listed = [re.match(r":param (\w+): \S", line.replace("\\", "")) for line in read]
    assert [found[1] for found in listed if found] == [field.name for field in fields(config)]


def test_code_keeps_its_backticks_and_prose_is_not_markup():
    assert to_restructured_text("Return `a * b` of x*y, a name_ and a|b.") == (
        r"Return ``a * b`` of x\*y, a name\_ and a\|b."
    )
    assert to_restructured_text("of `pieces\n    in two` lines") == "of ``pieces in two`` lines"
    assert to_restructured_text("the `x`s") == r"the ``x``\ s"
    assert to_restructured_text("``as it is``") == "``as it is``"


def test_what_another_library_says_is_left_out():
    assert skip_foreign(None, "class", "legend", minigpt.notebook.plots.StyledAxes.legend, False, None) is True
    assert skip_foreign(None, "class", "forward", minigpt.GPT.forward, False, None) is None
