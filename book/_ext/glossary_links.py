"""A Sphinx extension: the first occurrence of each term of the glossary on a page becomes a link to its entry.

The notebooks hold plain words, so that they read the same in Colab; the links are made while the pages are built.
Only prose is looked at: no code, no headings, no links, no equations, no outputs, and no pages of reference.
"""

import re
from collections.abc import Callable, Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

GLOSSARY = "book/glossary"
PAGES = re.compile(r"chapters/\w+|book/(intro|how_to_read)")  # chapters and appendices, but not solutions
# Terms that everyday language has, too: a link would be wrong more often than right.
EVERYDAY = {"block", "context", "coverage", "decode", "envelope", "key", "loss", "merge", "operations", "query"}
EVERYDAY |= {"kernel", "rank", "value", "window"}
NOT_PROSE = (
    nodes.literal,
    nodes.literal_block,
    nodes.doctest_block,
    nodes.title,
    nodes.reference,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.term,
    nodes.caption,
    nodes.comment,
    nodes.citation,
    nodes.thead,
)
OUTPUT = {"cell_output", "cell_input"}


def pattern_for(terms: list[str]) -> re.Pattern | None:
    """Return what finds any of the terms, also in the plural and with a capital, the longest first."""
    names = sorted(map(re.escape, set(terms) - EVERYDAY), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(names)})s?(?![\w-])", re.IGNORECASE) if names else None


def prose(node: nodes.Node) -> Iterator[nodes.Text]:
    """Yield the pieces of text that a sentence on the page is made of, in order."""
    if isinstance(node, NOT_PROSE) or (isinstance(node, nodes.Element) and OUTPUT & set(node.get("classes", ()))):
        return
    if isinstance(node, nodes.Text):
        yield node
        return
    for child in list(node.children):
        yield from prose(child)


def link_terms(document: nodes.Node, terms: list[str], link: Callable[[str, str], nodes.Node]) -> int:
    """Replace the first occurrence of each term by `link(term, words)`; return how many were found."""
    pattern, known = pattern_for(terms), {term.lower(): term for term in terms}
    linked: set[str] = set()
    for text in list(prose(document)) if pattern else ():
        pieces: list[nodes.Node] = []
        end, words = 0, text.astext()
        for found in pattern.finditer(words):
            term = known[found[1].lower()]
            if term not in linked:
                linked.add(term)
                pieces += [nodes.Text(words[end : found.start()]), link(term, found[0])]
                end = found.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(words[end:])])
    return len(linked)


def definitions(glossary: nodes.Node) -> dict[str, tuple[str, str]]:
    """Return the anchor and the first paragraph of each entry of the glossary."""
    found = {}
    for item in glossary.findall(nodes.definition_list_item):
        meaning = next(item.findall(nodes.paragraph)).astext().replace("\n", " ")
        for term in item.findall(nodes.term):
            found[term.astext()] = (term["ids"][0], meaning)
    return found


class LinkTerms(SphinxPostTransform):
    """Applies the links to a page before it is written."""

    default_priority = 500
    formats = ("html",)

    def run(self, **_: object) -> None:
        name = self.env.docname
        if not PAGES.fullmatch(name) or GLOSSARY not in self.env.found_docs:
            return
        entries = definitions(self.env.get_doctree(GLOSSARY))
        page = self.app.builder.get_relative_uri(name, GLOSSARY)

        def link(term: str, words: str) -> nodes.Node:
            anchor, meaning = entries[term]
            uri = f"{page}#{anchor}"
            return nodes.reference("", words, internal=True, refuri=uri, reftitle=meaning, classes=["glossary-term"])

        link_terms(self.document, list(entries), link)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.add_post_transform(LinkTerms)
    app.add_css_file("glossary.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
