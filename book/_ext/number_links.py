"""What the extensions for equations and figures share: a number in the text leads to its place, on whichever page."""

import re
from collections.abc import Callable, Iterable

from docutils import nodes
from glossary_links import prose
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

Link = Callable[[str, str], nodes.Node | None]


def anchor(kind: str, number: str) -> str:
    """Return the name of a place: `equation-4-4` for the fourth equation of Chapter 4."""
    return f"{kind}-{number.lower().replace('.', '-')}"


def pages_of(env: BuildEnvironment, kind: str) -> dict[str, str]:
    """Return on which page each number stands."""
    return env.__dict__.setdefault("pages_of_numbers", {}).setdefault(kind, {})


def link_numbers(document: nodes.Node, pattern: re.Pattern, link: Link) -> int:
    """Replace what the pattern finds in the text by `link(number, words)`, unless that is None; return how many."""
    count = 0
    for text in list(prose(document)):
        pieces: list[nodes.Node] = []
        end, words = 0, text.astext()
        for found in pattern.finditer(words):
            if (made := link(found[1], found[0])) is not None:
                pieces += [nodes.Text(words[end : found.start()]), made]
                end, count = found.end(), count + 1
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(words[end:])])
    return count


class LinkNumbers(SphinxPostTransform):
    """Applies the links of one kind to a page before it is written."""

    default_priority = 510
    formats = ("html",)
    kind: str
    pattern: re.Pattern

    def run(self, **_: object) -> None:
        pages, here = pages_of(self.env, self.kind), self.env.docname

        def link(number: str, words: str) -> nodes.Node | None:
            if number not in pages:
                return None
            page = "" if pages[number] == here else self.app.builder.get_relative_uri(here, pages[number])
            return nodes.reference("", words, internal=True, refuri=f"{page}#{anchor(self.kind, number)}")

        link_numbers(self.document, self.pattern, link)


def merge(app: Sphinx, env: BuildEnvironment, names: Iterable[str], other: BuildEnvironment) -> None:
    """Take over what another process of the same build has read."""
    for kind, pages in getattr(other, "pages_of_numbers", {}).items():
        pages_of(env, kind).update(pages)
