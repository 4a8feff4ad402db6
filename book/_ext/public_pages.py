"""A Sphinx extension: what the pages tell search engines, sites that link to them, and readers who lost their way.

Every address follows from the repository's, which stands in `_config.yml`.
"""

from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from scripts.stamp import read_address

CARD = "_static/card.png"
CARD_SIZE = (1200, 630)
CARD_ALT = "The book's title beside the attention map of its small model reading the word minigpt"
LONGEST = 200
NO_PROSE = {"colab", "measured"}  # as book/_ext/page_marks.py names them
FRONT_DOOR = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>minigpt</title>
{head}
<link rel="canonical" href="{address}">
<link rel="icon" href="_static/favicon.svg">
<meta http-equiv="refresh" content="0; url={first}">
</head>
<body><p><a href="{first}">Open the book</a></p></body>
</html>
"""
NOT_FOUND = """<h1>This page is not here</h1>
<p>It may have been renamed, or the link that led you here has a slip in it.</p>
<p>The <a href="{home}">front page</a> lists every chapter, and the search in the bar above knows every word.</p>"""


def set_address(app: Sphinx, config: Config) -> None:
    """Let every page know where the book is published."""
    config.html_baseurl = f"{read_address(Path(app.confdir)).book}/"


def summary(doctree: nodes.document) -> str:
    """Return the first paragraph of a page that is prose, cut at a word."""
    paragraphs = (one for one in doctree.findall(nodes.paragraph) if not NO_PROSE & set(one["classes"]))
    text = " ".join(next((one.astext() for one in paragraphs), "").split())
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"


def tags(title: str, description: str, address: str, config: Config) -> str:
    """Return the `<meta>` elements that a page is shown by elsewhere."""
    properties = {
        "og:type": "website",
        "og:site_name": config.html_title or config.project,
        "og:title": title,
        "og:description": description,
        "og:url": address,
        "og:image": config.html_baseurl + CARD,
        "og:image:width": str(CARD_SIZE[0]),
        "og:image:height": str(CARD_SIZE[1]),
        "og:image:alt": CARD_ALT,
    }
    names = {"description": description, "twitter:card": "summary_large_image"}
    lines = [f'<meta property="{key}" content="{escape(text)}">' for key, text in properties.items()]
    return "\n".join(lines + [f'<meta name="{key}" content="{escape(text)}">' for key, text in names.items()])


def add_tags(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Add a page's tags to its head; the page that stands in for a missing one may be shown under any address."""
    if page == "404":
        root = urlsplit(app.config.html_baseurl).path
        context["metatags"] = f'<base href="{root}"><meta name="robots" content="noindex">'
    elif doctree is not None:
        title = app.env.titles[page].astext()
        address = app.config.html_baseurl + app.builder.get_target_uri(page)
        context["metatags"] += "\n" + tags(title, summary(doctree), address, app.config)
        if page == app.config.root_doc:
            write_front_door(app, context["metatags"], address)


def write_front_door(app: Sphinx, head: str, address: str) -> None:
    """Let the address without a page lead to the first one, and be shown elsewhere as that page is."""
    first = app.builder.get_target_uri(app.config.root_doc)
    (Path(app.outdir) / "index.html").write_text(FRONT_DOOR.format(head=head, address=address, first=first), "utf-8")


def page_not_found(app: Sphinx) -> list[tuple[str, dict, str]]:
    """Return the page for an address that leads nowhere."""
    body = NOT_FOUND.format(home=app.builder.get_target_uri(app.config.root_doc))
    return [("404", {"title": "This page is not here", "body": body}, "page.html")]


def write_sitemap(app: Sphinx, error: Exception | None) -> None:
    """List every page for search engines, and tell them where the list is."""
    if error or app.builder.format != "html":
        return
    base, target = app.config.html_baseurl, Path(app.outdir)
    places = [f"<url><loc>{escape(base + app.builder.get_target_uri(page))}</loc></url>" for page in pages(app)]
    body = "\n".join(places)
    (target / "sitemap.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{body}\n</urlset>\n",
        "utf-8",
    )
    (target / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n", "utf-8")


def pages(app: Sphinx) -> list[str]:
    """Return the name of every page, in order."""
    return sorted(app.env.found_docs)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.connect("config-inited", set_address)
    app.connect("html-page-context", add_tags)
    app.connect("html-collect-pages", page_not_found)
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
