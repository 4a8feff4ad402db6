"""A Sphinx extension: the index of exercises, made from the checkers and from the headings of the chapters.

It stands where a page has an empty code block of the language `{exercises}`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mdit_py_plugins.anchors.index import slugify
from sphinx.application import Sphinx

from minigpt.exercises.engine.loading import all_exercises

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```\{exercises\}\n```$", re.MULTILINE)
HEADING = re.compile(r"^#{2,3} (Exercise (\d+\.\d+): (.+))$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """An exercise as it stands in its chapter."""

    number: str
    heading: str
    title: str
    names: tuple[str, ...]
    chapter: str

    @property
    def line(self) -> str:
        """Its line in the index."""
        anchor = slugify(self.heading)
        links = (
            f"[{self.number}: {self.title}](../chapters/{self.chapter}.ipynb#{anchor})",
            f"[solution](../chapters/solutions/{self.chapter}.ipynb#{anchor})",
        )
        names = ", ".join(f"`{name}`" for name in self.names)
        specs = " ".join(all_exercises()[name].spec for name in self.names)
        plain = specs.replace("*", r"\*")  # a power of Python's, not bold type
        return f"- **{links[0]}** · {names} · {links[1]}\\\n  {plain}"


def cells(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind and the source of each cell of a notebook."""
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        yield cell["cell_type"], "".join(cell["source"])


def title_of(path: Path) -> str:
    """Return the title of a notebook."""
    return next(source for kind, source in cells(path) if kind == "markdown").splitlines()[0].removeprefix("# ")


def entries(path: Path) -> list[Entry]:
    """Return the exercises of a chapter: each heading with the checkers that are called below it."""
    called: dict[re.Match, list[str]] = {}
    heading = None
    for kind, source in cells(path):
        if kind == "markdown":
            heading = next(HEADING.finditer(source), heading)
        elif heading:
            called.setdefault(heading, []).extend(re.findall(r"\bcheck\.(\w+)\(", source))
    return [
        Entry(heading[2], heading[1], heading[3], tuple(dict.fromkeys(names)), path.stem)
        for heading, names in called.items()
        if names
    ]


def index() -> str:
    """Return the whole index as Markdown, chapter by chapter."""
    parts = []
    for path in sorted(ROOT.glob("chapters/[0-9]*.ipynb")):
        lines = "\n".join(entry.line for entry in entries(path))
        parts.append(f"## {int(path.stem[:2])}. {title_of(path)}\n\n{lines}")
    return "\n\n".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""

    def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
        if BLOCK.search(source[0]):
            source[0] = BLOCK.sub(lambda _: index(), source[0])
            app.env.note_reread()  # the chapters may have changed when the page itself has not

    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
