"""A Sphinx extension: names for the head of a page and for printed tables, for the style sheet; roles for readers."""

import re

from docutils import nodes
from sphinx.application import Sphinx

COLAB = "Open in Colab"
COLUMNS = re.compile(r"\S {2,}\S")
CODE = re.compile(r"^ *(?:def \w+\(|class \w+[:(])", re.MULTILINE)
BEGINNINGS = {"Measured:": "measured", "You will learn": "opening", "You need": "opening", "The question.": "question"}


def mark_paragraphs(app: Sphinx, doctree: nodes.document) -> None:
    """Name the Colab link and the measured line, which are no prose, and the paragraphs that open a chapter."""
    for paragraph in doctree.findall(nodes.paragraph):
        if paragraph.astext() == COLAB:
            paragraph["classes"].append("colab")
        elif isinstance(first := next((one for one in paragraph if one.astext()), None), nodes.strong):
            name = BEGINNINGS.get(first.astext())
            paragraph["classes"] += [name] if name else []


def mark_printed_tables(app: Sphinx, doctree: nodes.document) -> None:
    """Name the outputs in columns, and those that show code: where they are too wide they scroll, and do not wrap."""
    for block in doctree.findall(nodes.literal_block):
        printed = block.astext() if "output" in block["classes"] else ""
        if CODE.search(printed) or sum(bool(COLUMNS.search(line)) for line in printed.splitlines()) > 1:
            block["classes"].append("in-columns")


def mend_roles(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Let nothing call itself a list that has not the items of one: a bibliography, the parameters of a signature."""
    if "body" in context:
        body = context["body"].replace('<div role="list" class="citation', '<div class="citation')
        context["body"] = re.sub(r"<dl>(?=\s*<dd>)", '<dl role="presentation">', body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.connect("doctree-read", mark_paragraphs)
    app.connect("doctree-read", mark_printed_tables)
    app.connect("html-page-context", mend_roles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
