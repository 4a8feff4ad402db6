"""The playground in a browser: it writes, streams, stops and shows what is inside, and the console has no complaint."""

import http.server
import re
import shutil
import string
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from minigpt import GPT, CharTokenizer, GPTConfig
from minigpt.checkpoint.web import export_web

ROOT = Path(__file__).parents[2]
KNOWN = "\n" + "".join(sorted(string.ascii_letters + " :,.'"))
PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Playground</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
{panel}</main></body></html>"""

pytestmark = pytest.mark.slow


def small_model(tokenizer: CharTokenizer, **sizes) -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, block_size=48, n_head=2, n_embd=16, **sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A site with the panel and two small models, below a folder as on a project's page."""
    folder = tmp_path_factory.mktemp("site")
    book = folder / "minigpt" / "book"
    shutil.copytree(ROOT / "book" / "playground", book / "playground")
    tokenizer = CharTokenizer(KNOWN)
    models = book / "playground" / "models"
    validation = {"text": "a text", "tokens": 1234, "loss": 4.0, "rounded_loss": 4.0123}
    export_web(small_model(tokenizer, n_layer=2), tokenizer, models / "tiny", "int8", validation)
    modern = small_model(tokenizer, n_layer=3, position="rope", norm="rmsnorm", mlp="swiglu")
    export_web(modern, tokenizer, models / "medium", "fp16")
    panel = (book / "playground" / "panel.html").read_text("utf-8")
    for theme in ("light", "dark"):
        name = "playground.html" if theme == "light" else "dark.html"
        (book / name).write_text(PAGE.format(theme=theme, panel=panel), "utf-8")
    return folder


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    handler = partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/minigpt/book/playground.html"
        running.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def page(browser, address):
    """The page with Tiny loaded and its last character looked at; afterwards, nothing went wrong in the console."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    wrong = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.goto(address)
    ready(page)
    yield page
    assert wrong == []
    page.close()


def ready(page) -> None:
    page.wait_for_selector("[data-part=write]:enabled")
    page.wait_for_selector("[data-part=bars] li")


def write(page, **settings) -> str:
    """Let the model write, and return the whole text."""
    for name, value in settings.items():
        page.fill(f"[name={name}]", str(value))
    page.click("[data-part=write]")
    done(page)
    return page.text_content("[data-part=written]")


def done(page) -> None:
    page.wait_for_selector("[data-part=written][aria-busy=false]")
    page.wait_for_selector("[data-part=stop]:disabled", state="attached")


def after(page) -> str:
    return page.text_content("[data-part=after]")


def test_it_writes_as_much_as_asked_and_says_how_fast(page):
    text = write(page, prompt="To be", most=30)
    assert text.startswith("To be") and len(text) == 35
    assert re.fullmatch(r"30 characters, \d+ tokens per second", page.text_content("[data-part=speed]"))


def test_a_seed_gives_the_same_text_again_and_another_one_another(page):
    first = write(page, prompt="To be", most=40, seed=7)
    assert write(page, seed=8) != first
    assert write(page, seed=7) == first


def test_the_likeliest_characters_do_not_depend_on_the_seed(page):
    page.fill("[name=top-k]", "1")
    assert write(page, most=20, seed=1) == write(page, most=20, seed=2)


def test_it_streams_and_stops(page):
    page.fill("[name=most]", "2000")
    page.click("[data-part=write]")
    length = "document.querySelector('[data-part=written]').textContent.length"
    page.wait_for_function(f"{length} > 10")
    early = page.evaluate(length)
    page.wait_for_function(f"{length} > {early}")
    assert page.is_disabled("[data-part=write]") and page.is_disabled("[value=medium]")
    page.click("[data-part=stop]")
    done(page)
    assert early < page.evaluate(length) < 2000
    assert page.is_enabled("[data-part=write]")


def test_beyond_the_context_the_window_slides_and_the_page_says_so(page):
    assert len(write(page, prompt="To be", most=60)) == 65
    assert "the window slides now" in page.text_content("[data-part=speed]")
    assert page.locator("[role=option]").count() == 48
    assert len(page.text_content(".forgotten")) == 17


def test_the_bars_show_what_may_come_next(page):
    page.fill("[name=temperature]", "1")
    page.fill("[name=prompt]", "To be, or not")
    page.wait_for_function("document.querySelectorAll('[role=option]').length == 13")
    page.click("[role=option] >> nth=4")
    page.wait_for_function("document.querySelector('[data-part=after]').textContent.includes('e')")
    shares = [float(share.split()[0]) for share in page.locator(".bars .share").all_text_contents()]
    assert len(shares) == 12 and shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 100.1
    page.fill("[name=temperature]", "0")
    page.wait_for_function("document.querySelector('.bars .share').textContent == '100.0 %'")


def test_attention_is_drawn_for_each_head(page):
    def shades() -> list[float]:
        return page.eval_on_selector_all(
            "[role=option]", "all => all.map(each => Number(each.style.getPropertyValue('--attended')))"
        )

    page.fill("[name=prompt]", "To be, or not")
    page.wait_for_function("document.querySelectorAll('[role=option]').length == 13")
    page.wait_for_function("document.querySelector('[data-part=attention]').textContent.includes('“t” at 13,')")
    first, sentence = shades(), page.text_content("[data-part=attention]")
    assert max(first) == 1 and len(first) == 13 and all(shade > 0 for shade in first)
    page.select_option("[data-part=head]", index=1)
    page.wait_for_function(f"document.querySelector('[data-part=attention]').textContent != {sentence!r}")
    assert shades() != first
    page.hover("[role=option] >> nth=2")
    page.wait_for_function("document.querySelector('[data-part=attention]').textContent.includes('“space” at 3,')")
    assert all(shade == 0 for shade in shades()[3:]) and max(shades()[:3]) == 1


def test_everything_works_with_the_keyboard_alone(page):
    page.fill("[name=most]", "20")
    page.focus("[name=prompt]")
    page.keyboard.press("Control+a")
    page.keyboard.type("O so")
    page.keyboard.press("Control+Enter")
    done(page)
    page.focus("[role=option][tabindex='0']")
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('[data-part=after]').textContent.includes('“O”')")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('[data-part=after]').textContent.includes('“space”')")
    assert page.evaluate("document.activeElement.ariaLabel") == "space"
    page.fill("[name=most]", "2000")
    page.focus("[data-part=write]")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement == document.querySelector('[data-part=stop]')")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement == document.querySelector('[data-part=write]')")


def test_unknown_characters_and_an_empty_prompt_are_named_with_the_remedy(page):
    page.fill("[name=prompt]", "5 € or 5 $")
    problem = page.locator("[data-part=problem]")
    page.wait_for_function("document.querySelector('[data-part=problem]').textContent != ''")
    assert "does not know the characters 5 € $; leave them out" in problem.text_content()
    page.fill("[name=prompt]", "")
    page.click("[data-part=write]")
    page.wait_for_function("document.querySelector('[data-part=problem]').textContent.includes('empty')")
    page.fill("[name=prompt]", "well")
    page.wait_for_function("document.querySelector('[data-part=problem]').textContent == ''")


def test_the_models_can_be_changed_and_each_says_what_it_is(page):
    assert "4.0123 nats per character with these rounded weights, 4.0000" in page.text_content("[data-part=facts]")
    before = write(page, most=20)
    page.check("[value=medium]")
    page.wait_for_function("document.querySelector('[data-part=facts]').textContent.includes('fp16')")
    ready(page)
    assert "was not measured" in page.text_content("[data-part=facts]")
    assert page.locator("[data-part=layer] option").count() == 3
    assert write(page, most=20) != before


def test_weights_that_are_missing_are_named(browser, address, site):
    page = browser.new_page()
    page.route("**/weights.bin", lambda route: route.fulfill(status=404, body=""))
    page.goto(address)
    page.wait_for_function("document.querySelector('[data-part=problem]').textContent.includes('404')")
    assert "make book" in page.text_content("[data-part=problem]")
    page.close()


def test_a_page_opened_as_a_file_says_what_to_do(browser, site):
    page = browser.new_page()
    page.goto((site / "minigpt" / "book" / "playground.html").as_uri())
    assert page.is_visible("#playground-file") and "make serve" in page.text_content("#playground-file")
    page.close()


def test_without_javascript_it_says_so(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert "JavaScript" in page.inner_text("noscript")
    context.close()


def test_every_field_has_a_label_and_a_phone_needs_no_sideways_scroll(page):
    nameless = "all => all.filter(each => !each.labels?.length && !each.textContent.trim()).length"
    assert page.eval_on_selector_all("input, select, textarea, button", nameless) == 0
    page.set_viewport_size({"width": 360, "height": 740})
    write(page, most=40)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
