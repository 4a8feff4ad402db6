"""The replay in a browser: its sliders move all that they should, and it plays to the end; opened as a file, too."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import replay as page_maker

ROOT = Path(__file__).parents[2]
READ = "O my\nlove"
STEPS = [0, 10, 100, 200]
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Replay</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head>
<body><main class="bd-article"><h1>Replay</h1>{panel}</main></body></html>"""

pytestmark = pytest.mark.browser


def attention(sharpness: float) -> str:
    """Return a head that looks at the character before, the more the higher the sharpness is."""
    size = len(READ)
    scores = sharpness * np.eye(size, k=-1)
    shares = np.exp(scores) * np.tri(size)
    shares /= shares.sum(axis=1, keepdims=True)
    return base64.b64encode((255 * shares[np.tril_indices(size)]).round().astype(np.uint8).tobytes()).decode()


@pytest.fixture(scope="module")
def record() -> dict:
    frames = [
        {
            "step": step,
            "sample": f"ROMEO:\nwritten after {step}",
            "before": place / 4,
            "attention": attention(2 * place),
        }
        for place, step in enumerate(STEPS)
    ]
    course = {"step": [1, *range(10, 201, 10)], "loss": [4.17, *np.linspace(3.5, 2, 20).round(3)]}
    return {
        "finished": False,
        "preset": "tiny-shakespeare",
        "corpus": {"name": "a text"},
        "machine": {"date": "2026-01-01", "processor": "a processor"},
        "max_steps": 200,
        "kept_every": 10,
        "sample": {"prompt": "ROMEO:", "max_new_tokens": 20, "temperature": 0.8, "seed": 1},
        "read": READ,
        "head": "0.1",
        "course": course | {"learning_rate": [1e-5, *np.linspace(1e-3, 1e-4, 20)]},
        "validation": [[100, 2.5], [200, 2.25]],
        "frames": frames,
    }


@pytest.fixture(scope="module")
def address(record, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("replay") / "replay.html"
    path.write_text(PAGE.format(panel=page_maker.panel(record)), "utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    """The panel; afterwards, nothing went wrong and nothing was asked for."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    faults = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda one: faults.append(one.url) if one.url not in (address, "data:,") else None)
    page.goto(address)
    yield page
    assert faults == []
    page.close()


def part(page, name: str):
    return page.locator(f"[data-part={name}]")


def cursor(page) -> float:
    """Return where the curves' cursor stands, as a share of the run."""
    return float(page.evaluate("document.getElementById('replay').style.getPropertyValue('--at')"))


def opacity(page, row: int, column: int) -> float:
    cell = f'document.querySelector(\'.cell[x="{column}"][y="{row}"]\')'
    return float(page.evaluate(f"{cell}.style.fillOpacity"))


def test_the_slider_moves_text_figures_cursor_and_map(page):
    assert part(page, "sample").text_content() == "ROMEO:\nwritten after 0"
    assert "loss – · validation loss – " in part(page, "figures").text_content()
    assert cursor(page) == 0
    pale = opacity(page, 5, 4)
    part(page, "slider").fill("2")
    assert part(page, "sample").text_content() == "ROMEO:\nwritten after 100"
    assert part(page, "step").text_content() == "100 steps"
    assert part(page, "slider").get_attribute("aria-valuetext") == "100 steps"
    assert "loss 2.79 · validation loss 2.50 · learning rate 0.00057" in part(page, "figures").text_content()
    assert cursor(page) == 0.5
    assert opacity(page, 5, 4) > 2 * pale


def test_it_plays_to_the_end_stops_and_begins_anew(page):
    play = part(page, "play")
    play.click()
    assert play.text_content() == "Pause"
    page.wait_for_function("document.querySelector('[data-part=play]').textContent == 'Play'")
    assert part(page, "slider").input_value() == "3"
    assert part(page, "sample").text_content() == "ROMEO:\nwritten after 200"
    play.click()
    assert part(page, "sample").text_content() != "ROMEO:\nwritten after 200"
    play.click()
    assert play.text_content() == "Play"
    assert int(part(page, "slider").input_value()) < 3


def test_it_works_with_the_keyboard_alone(page):
    page.keyboard.press("Tab")
    for _ in range(10):
        if page.evaluate("document.activeElement.dataset.part") == "play":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert part(page, "play").text_content() == "Pause"
    page.keyboard.press("Space")
    part(page, "slider").focus()
    page.keyboard.press("End")
    assert cursor(page) == 1
    page.keyboard.press("ArrowLeft")
    assert cursor(page) == 0.5
    part(page, "row").focus()
    page.keyboard.press("Home")
    assert part(page, "look").text_content() == "From “O” at 1, the head looks at “O” at 1 (100\u00a0%)."


def test_a_row_is_shown_over_the_text_and_in_words(page):
    part(page, "slider").fill("3")
    part(page, "row").fill("5")
    assert part(page, "look").text_content().startswith("From “l” at 6, the head looks at “new line” at 5 (")
    shares = page.eval_on_selector_all(".letter", "all => all.map(each => +each.style.getPropertyValue('--share'))")
    assert max(shares) == shares[4] and shares[6:] == [0, 0, 0]
    page.locator('.cell[x="1"][y="3"]').hover()
    assert part(page, "row").input_value() == "3"
    assert part(page, "row-name").text_content() == "“y” at 4"


def test_a_press_on_a_curve_goes_to_the_nearest_frame(page):
    box = page.locator(".curve .plot").first.bounding_box()
    page.mouse.click(box["x"] + 0.53 * box["width"], box["y"] + 10)
    assert cursor(page) == 0.5


def test_a_phone_needs_no_sideways_scroll_and_everything_has_a_name(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    nameless = "all => all.filter(each => !each.labels?.length && !each.textContent.trim()).length"
    assert page.eval_on_selector_all("input, button", nameless) == 0


def test_without_javascript_it_shows_the_curves_and_two_samples(browser, address, record):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("noscript .sample pre").all_text_contents() == [
        record["frames"][0]["sample"],
        record["frames"][-1]["sample"],
    ]
    assert page.locator(".curve svg").count() == 3
    assert not part(page, "slider").is_visible()
    context.close()


def test_the_built_page_holds_the_shipped_record():
    built = ROOT / "_build" / "html" / "book" / "replay.html"
    if not built.exists():
        pytest.skip("There is no built book to look at; `make book` builds it.")
    held = built.read_text("utf-8").split('data-part="record">')[1].split("</script>")[0]
    assert json.loads(held) == json.loads(page_maker.RECORD.read_text("utf-8"))
