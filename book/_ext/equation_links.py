"""A Sphinx extension: the number of an equation, such as (4.4), leads to that equation, on whichever page it stands.

The notebooks write `\\tag{4.4}` in the equation and plain (4.4) in the text, which Colab shows as it should be.
"""

import re

from docutils import nodes
from number_links import LinkNumbers, anchor, merge, pages_of
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

KIND = "equation"
TAG = re.compile(r"\\tag\{([\dA-Z]+\.\d+)\}")
NUMBER = re.compile(r"(?<=\()([\dA-Z]+\.\d+)(?=\))")


def name_equations(document: nodes.document) -> list[str]:
    """Give every numbered equation its anchor, and return the numbers."""
    found = []
    for equation in document.findall(nodes.math_block):
        for number in TAG.findall(equation.astext()):
            found.append(number)
            equation["ids"].append(anchor(KIND, number))
    return found


class NameEquations(SphinxTransform):
    """Remembers on which page each equation stands."""

    default_priority = 900

    def apply(self, **_: object) -> None:
        pages_of(self.env, KIND).update(dict.fromkeys(name_equations(self.document), self.env.docname))


class LinkEquations(LinkNumbers):
    """Makes the numbers of equations links."""

    kind, pattern = KIND, NUMBER


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.add_transform(NameEquations)
    app.add_post_transform(LinkEquations)
    app.connect("env-merge-info", merge)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
