"""The built book as a reader meets it: in a browser, on a wide screen and on a phone, in the light and in the dark.

The book is served on this machine under the path that it is published at, and no other host is asked for anything.
"""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup

from scripts.stamp import read_address

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
ADDRESS = read_address(ROOT)
NO_PAGES = {"index", "search", "genindex", "py-modindex", "404"}  # what Sphinx makes besides the pages of the book
PAGES = sorted(
    name
    for path in SITE.rglob("*.html")
    if (name := path.relative_to(SITE).with_suffix("").as_posix()) not in NO_PAGES and not name.startswith("_")
)
CHAPTER = "chapters/04_attention"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WIDEST_FIGURE = 7 * 72  # points
PATIENCE = 120_000  # milliseconds, for a machine that has much else to do
# Thousands of elements, alike on every page: MathJax speaks for its own, and the colours of code are looked at once.
EQUATIONS, CODE = "mjx-container", "div.cell_input div.highlight pre"
APART = (EQUATIONS, CODE)
CODE_IS_REACHED = """() => [...document.querySelectorAll("main pre")]
    .every(one => one.scrollWidth <= one.clientWidth || one.tabIndex === 0)"""  # a moment after the window has changed
GRAVE = {"serious", "critical"}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not PAGES, reason="There is no built book to look at; `make book` builds it."),
]
every_page = pytest.mark.parametrize("name", PAGES or ["none"])
together = pytest.mark.xdist_group("pages that are parsed")  # in one process, which parses each page once


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the book under its own path, and its own page where there is none."""

    def translate_path(self, path: str) -> str:
        inside = unquote(urlsplit(path).path).removeprefix(f"/{ADDRESS.name}")
        return str(SITE / inside.lstrip("/")) if inside != urlsplit(path).path else str(SITE / "missing")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        body = (SITE / "404.html").read_bytes()
        self.send_response(code, message)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address that the book is served at."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{ADDRESS.name}/"
        server.shutdown()


class Reader:
    """A reader's window, which notes whatever goes wrong in it."""

    def __init__(self, context, site: str) -> None:
        self.site = site
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.on("console", lambda one: self.faults.append(one.text) if one.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("requestfailed", self.look_at_failure)
        self.page.on("request", self.look_at)
        self.page.on("response", lambda one: self.faults.append(f"{one.url}: {one.status}") if one.status > 399 else 0)

    def look_at(self, request) -> None:
        if not request.url.startswith((self.site, "data:", "blob:")):
            self.faults.append(f"{request.url}: another host")

    def look_at_failure(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":  # what was still on its way when the reader went on is no fault
            self.faults.append(f"{request.url}: {request.failure}")

    def open(self, name: str) -> None:
        """Open a page and wait until its equations are drawn."""
        self.page.goto(f"{self.site}{name}.html", wait_until="load")
        self.page.wait_for_function("() => !window.MathJax || !MathJax.startup || MathJax.startup.promise")
        self.page.evaluate("async () => { if (window.MathJax?.startup?.promise) await MathJax.startup.promise; }")

    def theme(self, mode: str) -> None:
        """Show the page in the light or in the dark, without a click."""
        self.page.evaluate(
            "mode => { document.documentElement.dataset.theme = mode; return new Promise(requestAnimationFrame); }",
            mode,
        )

    def accessibility_faults(self, apart: tuple[str, ...] = APART, **options) -> list[str]:
        """Return what axe-core finds that is serious or worse, each with the first elements concerned."""
        from axe_playwright_python.sync_playwright import Axe

        context = {"exclude": [[one] for one in apart]}
        options = {"resultTypes": ["violations"], **options}
        found = Axe().run(self.page, context=context, options=options).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:4]]}"
            for one in found
            if one["impact"] in GRAVE
        ]


@pytest.fixture
def reader(browser, site) -> Iterator[Reader]:
    """A fresh reader, who has chosen nothing yet."""
    context = browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    yield Reader(context, site)
    context.close()


@cache
def parsed(name: str) -> BeautifulSoup:
    return BeautifulSoup((SITE / f"{name}.html").read_text("utf-8"), "html.parser")


@cache
def anchors(name: str) -> set[str]:
    return {one["id"] for one in parsed(name).find_all(id=True)} | {
        one["name"] for one in parsed(name).select("a[name]")
    }


@every_page
def test_a_page_is_whole_and_open_to_everyone(reader, name):
    reader.open(name)
    assert not reader.faults
    faults = {"light": reader.accessibility_faults()}
    reader.theme("dark")
    faults["dark"] = reader.accessibility_faults(runOnly=["color-contrast"])
    assert not any(faults.values()), json.dumps(faults, indent=1)
    reader.page.set_viewport_size(PHONE)
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], too_wide(reader)
    reader.page.wait_for_function(CODE_IS_REACHED)
    assert not reader.accessibility_faults(runOnly=["scrollable-region-focusable"])


def test_a_wide_figure_can_be_read_on_a_phone_and_moved(reader):
    reader.page.set_viewport_size(PHONE)
    reader.open(CHAPTER)
    figures = reader.page.locator("main .cell_output img")
    assert figures.count() >= 5
    for figure in figures.all():
        figure.scroll_into_view_if_needed()  # it is fetched when it is near
        scale, end = figure.evaluate(
            """async one => {
                await one.decode();
                one.parentElement.scrollLeft = one.width;
                const { width, right } = one.getBoundingClientRect();
                return [width / one.naturalWidth, right];
            }"""
        )
        assert scale > 0.8
        assert end <= PHONE["width"]


def test_code_can_be_read_in_every_colour(reader):
    reader.open(CHAPTER)
    for mode in ("light", "dark"):
        reader.theme(mode)
        assert not reader.accessibility_faults(apart=(EQUATIONS,), runOnly=["color-contrast"]), mode


def too_wide(reader: Reader) -> list[str]:
    """Return the elements that stick out of the page."""
    return reader.page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
            .map(one => one.outerHTML.slice(0, 160)).slice(0, 8)"""
    )


@together
def test_every_link_inside_the_book_leads_somewhere():
    broken = []
    for name in PAGES:
        for link in parsed(name).select("a[href]"):
            parts = urlsplit(urljoin(f"/{name}.html", link["href"]))
            if parts.scheme or parts.netloc:
                continue
            path = SITE / unquote(parts.path).lstrip("/")
            known = path.is_file() and (
                not parts.fragment
                or path.suffix != ".html"
                or unquote(parts.fragment) in anchors(path.relative_to(SITE).with_suffix("").as_posix())
            )
            broken += [] if known else [f"{name}: {link['href']}"]
    assert not broken


@together
def test_every_picture_says_what_it_shows():
    silent = [
        f"{name}: {one.get('src', '')[:80]}"
        for name in PAGES
        for one in parsed(name).select("main img")
        if not one.get("alt", "").strip()
    ]
    assert not silent


@together
def test_every_drawing_is_a_vector_and_fits_a_page_of_paper():
    other, wide = [], []
    for name in PAGES:
        drawings = [one["src"] for one in parsed(name).select("main .cell_output img[src]")]
        for source in (one for one in drawings if "data:" not in one):
            if not source.endswith(".svg"):
                other.append(f"{name}: {source}")
                continue
            text = (SITE / urljoin(f"/{name}.html", source).lstrip("/")).read_text("utf-8")
            if float(re.search(r'<svg[^>]* width="([\d.]+)pt"', text)[1]) > WIDEST_FIGURE:
                wide.append(f"{name}: {source}")
    assert not other, "these are no vector drawings"
    assert not wide


@together
def test_every_page_says_what_it_is():
    sitemap = (SITE / "sitemap.xml").read_text("utf-8")
    faults = []
    for name in PAGES:
        head = {one.get("property") or one.get("name"): one["content"] for one in parsed(name).select("meta[content]")}
        address = f"{ADDRESS.book}/{name}.html"
        right = (
            parsed(name).select_one('link[rel="canonical"]')["href"] == address == head["og:url"]
            and head["og:title"]
            and head["description"] == head["og:description"]
            and head["twitter:card"] == "summary_large_image"
            and (SITE / head["og:image"].removeprefix(f"{ADDRESS.book}/")).is_file()
            and parsed(name).html["lang"] == "en"
            and address in sitemap
        )
        faults += [] if right else [f"{name}: {head}"]
    assert not faults


@together
def test_every_link_to_colab_opens_a_notebook_of_the_book():
    faults = []
    for name in PAGES:
        links = {one["href"] for one in parsed(name).select('a[href*="colab.research.google.com"]')}
        wanted = {f"{ADDRESS.colab}/blob/main/{name}.ipynb"} if (ROOT / f"{name}.ipynb").exists() else set()
        faults += [] if links == wanted else [f"{name}: {links}"]
    assert not faults


def test_search_engines_find_the_list_of_pages():
    assert f"Sitemap: {ADDRESS.book}/sitemap.xml" in (SITE / "robots.txt").read_text()


def test_a_lost_reader_gets_a_page_that_leads_back(reader):
    reader.page.goto(f"{reader.site}chapters/no/such/page.html")
    assert [fault for fault in reader.faults if "no/such/page.html" not in fault and "status of 404" not in fault] == []
    reader.page.get_by_role("link", name="front page").first.click()
    assert reader.page.url.endswith("book/intro.html")


def test_the_front_door_opens(reader):
    reader.page.goto(reader.site)
    reader.page.wait_for_url("**/book/intro.html")
    assert reader.page.locator(".sample pre").count() == 3
    assert not reader.faults


def test_a_quiz_answers_and_explains(reader):
    reader.open(CHAPTER)
    questions = reader.page.locator(".quiz .question")
    assert questions.count() == 5
    for question in questions.all():
        explained = question.locator("details.option p")
        assert not any(one.is_visible() for one in explained.all())
        for option in question.locator("details.option > summary").all():
            option.click()
        assert all(one.is_visible() for one in explained.all())
        assert question.locator("p.right").count() >= 1
        assert question.locator("p.wrong").count() >= 1


def test_a_hint_opens_from_the_keyboard(reader):
    reader.open(CHAPTER)
    hint = reader.page.locator("details.hint").first
    hint.locator("summary").focus()
    reader.page.keyboard.press("Enter")
    assert hint.get_attribute("open") is not None


def test_search_finds_a_word(reader):
    reader.open("book/intro")
    reader.page.keyboard.press("Control+K")
    reader.page.keyboard.type("causal mask")
    reader.page.keyboard.press("Enter")
    reader.page.wait_for_selector("ul.search li a")
    found = [one.get_attribute("href") for one in reader.page.locator("ul.search li a").all()]
    assert any(CHAPTER in link for link in found)
    assert not reader.faults


def test_the_dark_stays_dark(reader):
    def mode() -> str:
        return reader.page.evaluate("document.documentElement.dataset.theme")

    reader.open("book/intro")
    for _ in range(3):
        if mode() != "dark":
            reader.page.locator(".theme-switch-button:visible").first.click()
    assert mode() == "dark"
    reader.open(CHAPTER)
    assert mode() == "dark"


def test_the_keyboard_skips_to_the_page_and_shows_where_it_is(reader):
    reader.open(CHAPTER)
    reader.page.keyboard.press("Tab")
    assert reader.page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    assert reader.page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    reader.page.locator("main p a").first.focus()
    reader.page.keyboard.press("Tab")
    assert reader.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_a_printed_page_is_the_text_alone(reader):
    reader.open(CHAPTER)
    reader.page.emulate_media(media="print")
    for place in (".bd-header", ".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".copybtn"):
        assert not any(one.is_visible() for one in reader.page.locator(place).all()), place
