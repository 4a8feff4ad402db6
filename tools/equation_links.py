"""A Sphinx extension: the number of an equation, such as (3.4), leads to that equation, on whichever page it stands.

The notebooks write `\\tag{3.4}` in the equation and plain (3.4) in the text, which Colab shows as it should be.
"""

import re
from collections.abc import Callable, Iterable

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

from tools.glossary_links import prose

TAG = re.compile(r"\\tag\{([\dA-Z]+\.\d+)\}")
NUMBER = re.compile(r"(?<=\()([\dA-Z]+\.\d+)(?=\))")
Link = Callable[[str], nodes.Node | None]


def anchor(number: str) -> str:
    """Return the name of an equation's place on its page: `equation-3-4`."""
    return f"equation-{number.lower().replace('.', '-')}"


def name_equations(document: nodes.document) -> list[str]:
    """Give every numbered equation its anchor, and return the numbers."""
    found = []
    for equation in document.findall(nodes.math_block):
        for number in TAG.findall(equation.astext()):
            found.append(number)
            equation["ids"].append(anchor(number))
    return found


def link_numbers(document: nodes.Node, link: Link) -> int:
    """Replace the number in each (3.4) of the text by `link("3.4")`, unless that is None; return how many."""
    count = 0
    for text in list(prose(document)):
        pieces: list[nodes.Node] = []
        end, words = 0, text.astext()
        for found in NUMBER.finditer(words):
            if (made := link(found[1])) is not None:
                pieces += [nodes.Text(words[end : found.start()]), made]
                end, count = found.end(), count + 1
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(words[end:])])
    return count


class NameEquations(SphinxTransform):
    """Remembers on which page each equation stands."""

    default_priority = 900

    def apply(self, **_: object) -> None:
        pages = self.env.__dict__.setdefault("equation_pages", {})
        pages.update(dict.fromkeys(name_equations(self.document), self.env.docname))


class LinkNumbers(SphinxPostTransform):
    """Applies the links to a page before it is written."""

    default_priority = 510
    formats = ("html",)

    def run(self, **_: object) -> None:
        pages, here = getattr(self.env, "equation_pages", {}), self.env.docname

        def link(number: str) -> nodes.Node | None:
            if number not in pages:
                return None
            page = "" if pages[number] == here else self.app.builder.get_relative_uri(here, pages[number])
            return nodes.reference("", number, internal=True, refuri=f"{page}#{anchor(number)}")

        link_numbers(self.document, link)


def merge(app: Sphinx, env: BuildEnvironment, names: Iterable[str], other: BuildEnvironment) -> None:
    """Take over what another process of the same build has read."""
    env.__dict__.setdefault("equation_pages", {}).update(getattr(other, "equation_pages", {}))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.add_transform(NameEquations)
    app.add_post_transform(LinkNumbers)
    app.connect("env-merge-info", merge)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
