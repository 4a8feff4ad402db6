"""A Sphinx extension: the figures of a chapter are numbered, and "Figure 4.4" in the text leads to the fourth of them.

A figure is a picture that a cell shows. In a notebook it bears no number; counted from the top, it is the same one.
"""

import re

from docutils import nodes
from number_links import LinkNumbers, anchor, merge, pages_of
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms import SphinxTransform

KIND = "figure"
CHAPTER = re.compile(r"chapters/(\d\d)_\w+")
NUMBER = re.compile(r"\bFigure (\d+\.\d+)\b")


def is_picture(node: nodes.Node) -> bool:
    """Return whether a node is an output of a cell that can be shown as a picture."""
    if not isinstance(node, nodes.container) or node.get("nb_element") != "mime_bundle":
        return False
    return any(form.get("mime_type", "").startswith("image/") for form in node.children)


def number_figures(document: nodes.document, chapter: int) -> list[str]:
    """Make every picture a figure with an anchor and its number as a caption, and return the numbers."""
    numbers = []
    for count, picture in enumerate(list(document.findall(is_picture)), start=1):
        numbers.append(number := f"{chapter}.{count}")
        figure = nodes.figure(ids=[anchor(KIND, number)])
        picture.replace_self(figure)
        figure += [picture, nodes.caption("", f"Figure {number}")]
    return numbers


class NumberFigures(SphinxTransform):
    """Numbers the figures of a chapter, and remembers on which page each stands."""

    default_priority = 900

    def apply(self, **_: object) -> None:
        if found := CHAPTER.fullmatch(self.env.docname):
            numbers = number_figures(self.document, int(found[1]))
            pages_of(self.env, KIND).update(dict.fromkeys(numbers, self.env.docname))


class LinkFigures(LinkNumbers):
    """Makes the numbers of figures links."""

    kind, pattern = KIND, NUMBER


def number_here_alone(app: Sphinx, config: Config) -> None:
    """Keep Sphinx from numbering figures through the whole book, which Jupyter Book asks it for."""
    config["numfig"] = False


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.connect("config-inited", number_here_alone, priority=900)
    app.add_transform(NumberFigures)
    app.add_post_transform(LinkFigures)
    app.connect("env-merge-info", merge)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
