"""The app as visitors meet it: in a browser, fifty at once, and with what nobody should send.

It is started by its command, in an empty folder, and at the end there is still no file in it.
"""

import asyncio
import json
import os
import signal
import socket
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from minigpt import GPT, CharTokenizer, GPTConfig, checkpoint, generate

pytest.importorskip("gradio", reason="Gradio is not installed.")
import httpx

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds, for a machine that has much else to do
SETTINGS = [0.8, 0, 1, 12, 1, 7, False]  # temperature, top-k, top-p, length, samples, seed, a new seed
MARKUP = """<img src="x" onerror="window.bad=1"><script>window.bad=1</script>${window.bad=1}{{value}}&amp;"""

pytestmark = pytest.mark.browser


@dataclass
class Served:
    """The app that is running: its address, its process, the folder that it may write to, and its own model."""

    address: str
    process: subprocess.Popen
    folder: Path
    model: GPT
    tokenizer: CharTokenizer

    def expected(self, prompt: str, seed: int = 7) -> str:
        return generate(self.model, self.tokenizer, prompt, max_new_tokens=12, temperature=0.8, top_p=1.0, seed=seed)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Served]:
    """The app with a small model of one's own, called `own`, and the shipped ones."""
    folder, elsewhere = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("elsewhere")
    tokenizer = CharTokenizer("\n" + string.digits + string.ascii_letters + string.punctuation + " ")
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, block_size=48, n_layer=1, n_head=2, n_embd=16)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    checkpoint.save(elsewhere / "own", model, tokenizer)
    port = free_port()
    places = {name: str(folder) for name in ("HOME", "TMPDIR", "GRADIO_TEMP_DIR", "XDG_CACHE_HOME")}
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    log = elsewhere / "log.txt"  # a pipe that nobody empties would stop the app when it is full
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "minigpt", "app", "--checkpoint", str(elsewhere / "own"), "--port", str(port)],
        cwd=folder,
        env=os.environ | places | {"MPLCONFIGDIR": str(elsewhere), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}/"
    wait_for(address, process, log)
    yield Served(address, process, folder, model, tokenizer)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0, log.read_text("utf-8")
    assert [path for path in folder.rglob("*") if path.is_file()] == [], "the app has written files"


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until the app answers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text("utf-8")
        try:
            if httpx.get(address, timeout=PATIENCE, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"nothing answers at {address}")


@pytest.fixture
def page(browser, app):
    """The page, ready; afterwards nothing has gone wrong in the browser, and no other host was asked."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE * 1000)
    page, faults = context.new_page(), []
    page.on("console", lambda one: faults.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("response", lambda one: faults.append(f"{one.url}: {one.status}") if one.status > 399 else None)
    page.on("request", lambda one: faults.append(one.url) if not one.url.startswith((app.address, "data:")) else None)
    page.goto(app.address)
    page.wait_for_selector("#tokens .token-view")
    yield page
    assert faults == []
    context.close()


def prepare(page, prompt: str, seed: int = 7, length: int = 12) -> None:
    """Fill in a prompt, a seed and a length."""
    page.get_by_label("Prompt").fill(prompt)
    if page.get_by_label("A new seed each time").is_checked():
        page.get_by_label("A new seed each time").uncheck()
    page.get_by_label("Seed", exact=True).fill(str(seed))
    page.get_by_label("number input for Length, in tokens").fill(str(length))
    page.keyboard.press("Tab")


def write(page) -> str:
    """Let the model write to the end, and return the whole text."""
    page.click("#write")
    page.wait_for_function("/seed/.test(document.querySelector('#status').textContent)")
    return page.text_content("#written .sample")


def choose(page, model: str, sign: str) -> None:
    """Choose a model, and wait until the page says so."""
    page.get_by_label(model, exact=True).check()
    page.wait_for_function(f"document.querySelector('#facts').textContent.includes('{sign}')")


def test_it_writes_what_the_package_writes(page, app):
    prepare(page, "To be")
    assert write(page) == app.expected("To be")
    assert "12 tokens in" in page.text_content("#status") and "seed 7." in page.text_content("#status")
    assert page.text_content("#written .prompt") == "To be"


def test_it_streams_and_stops_and_goes_on(page, app):
    choose(page, "tiny", "3,221,825")
    prepare(page, "ROMEO:", length=1000)
    page.click("#write")
    length = "(document.querySelector('#written .sample')?.textContent.length || 0)"
    page.wait_for_function(f"{length} > 10")
    early = page.evaluate(length)
    page.wait_for_function(f"{length} > {early}")
    page.click("#stop")
    page.wait_for_timeout(1500)
    stopped = page.evaluate(length)
    page.wait_for_timeout(1500)
    assert early < stopped == page.evaluate(length) < 1000
    choose(page, "own", "96 characters")
    prepare(page, "and so")
    assert write(page) == app.expected("and so")


def test_the_tokenizer_shows_its_pieces(page):
    page.get_by_label("Prompt").fill("Romeo goes")
    page.wait_for_function("document.querySelector('#tokens').textContent.includes('10 tokens')")
    choose(page, "plays-bpe", "pieces of words")
    page.wait_for_function("!document.querySelector('#tokens').textContent.includes('10 tokens')")
    assert "Romeo" in page.text_content("#tokens")


def test_an_example_fills_the_form(page):
    page.get_by_text("To be, or not to b", exact=True).click()
    page.wait_for_function("document.querySelector('textarea').value === 'To be, or not to b'")
    page.wait_for_function("document.querySelector('#facts').textContent.includes('3,221,825')")


def test_markup_in_a_prompt_is_shown_and_not_run(page, app):
    prepare(page, MARKUP)
    assert write(page) == app.expected(MARKUP)
    page.wait_for_function("document.querySelector('#tokens').textContent.includes('onerror')")
    assert page.evaluate("window.bad") is None
    assert page.locator("#written :is(img, script), #tokens :is(img, script)").count() == 0


def test_a_mistake_is_a_sentence(page, app):
    prepare(page, "2 Ω <b>bold</b>")
    page.click("#write")
    page.get_by_test_id("toast-body").filter(has_text="The character 'Ω' (U+03A9) at place 2").wait_for()
    page.wait_for_function("document.querySelector('#tokens').textContent.includes('Ω')")
    page.get_by_label("Prompt").fill("a" * 5000)
    assert len(page.get_by_label("Prompt").input_value()) <= 2000
    prepare(page, "fine")
    assert write(page) == app.expected("fine")


def test_everyone_can_use_it_on_a_phone_too(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.reload()
        page.wait_for_selector("#tokens .token-view")
        found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        grave = [f"{one['id']}: {[node['html'][:150] for node in one['nodes'][:3]]}" for one in found]
        assert not [fault for fault, one in zip(grave, found, strict=True) if one["impact"] in ("serious", "critical")]
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


# --- without a browser


async def ask(client: httpx.AsyncClient, app: Served, data: object, name: str = "write") -> tuple[str, str]:
    """Send what may not even be JSON, and return the last event's name and what came with it."""
    body = data if isinstance(data, (bytes, str)) else json.dumps({"data": data})
    headers = {"content-type": "application/json"}
    joined = await client.post(f"{app.address}gradio_api/call/{name}", content=body, headers=headers)
    if joined.status_code != 200:
        return f"status {joined.status_code}", joined.text
    told = (await client.get(f"{app.address}gradio_api/call/{name}/{joined.json()['event_id']}")).text
    last = told.strip().split("\n\n")[-1]
    return last.partition("\n")[0].removeprefix("event: "), last.partition("\n")[2].removeprefix("data: ")


def ask_all(app: Served, requests: list) -> list[tuple[str, str]]:
    """Send requests all at once."""

    async def gather():
        limits = httpx.Limits(max_connections=len(requests))
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False, limits=limits) as client:
            return await asyncio.gather(*(ask(client, app, one) for one in requests))

    with ThreadPoolExecutor(1) as beside:  # in this thread, the browser's loop is running
        return beside.submit(asyncio.run, gather()).result()


def still_writes(app: Served) -> bool:
    event, data = ask_all(app, [["own", "fine", *SETTINGS]])[0]
    return event == "complete" and text_of(data) == app.expected("fine")


def text_of(data: str) -> str:
    """Return the text in what the page is sent."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(json.loads(data)[0], "html.parser").select_one(".sample").text


def test_fifty_at_once_get_what_each_asked_for(app):
    requests = [["own", f"{number}: ", *SETTINGS[:5], number, False] for number in range(50)]
    answers = ask_all(app, requests)
    assert {event for event, _ in answers} == {"complete"}
    for number, (_, data) in enumerate(answers):
        assert text_of(data) == app.expected(f"{number}: ", seed=number)


def hostile(app: Served) -> list:
    nan, file = float("nan"), {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    changed = [(0, nan), (0, 1e400), (0, -1), (1, -3), (1, "many"), (2, 0), (3, 10**9), (4, 99), (5, -1), (5, 10**300)]
    requests = [["own", "a", *SETTINGS[:place], value, *SETTINGS[place + 1 :]] for place, value in changed]
    prompts = ["a" * 3000, "\x00", "\ud800", "", None, 7, ["a"], file, "snow ☃", {"__type__": "update"}]
    requests += [["own", prompt, *SETTINGS] for prompt in prompts]
    models = ["../own", "/etc/passwd", "checkpoints/tiny", str(app.folder), "own\x00", "", None, 3, file, ["own"]]
    requests += [[model, "a", *SETTINGS] for model in models]
    return [*requests, [], ["own"], {"a": 1}, b"", b"{", b"\xff\xfe", b'{"data": NaN}', "x" * 200_000]


def test_what_nobody_should_send_harms_nobody(app):
    for request, (event, data) in zip(hostile(app), ask_all(app, hostile(app)), strict=True):
        assert event == "error" or event.startswith(("status 4", "status 5")), (request, event)
        assert "root:" not in data and str(ROOT) not in data and "Traceback" not in data, (request, data)
    assert still_writes(app)


def test_what_looks_dangerous_and_is_not_is_written_on(app):
    prompts = ["../../etc/passwd", "C:\\Windows\\win.ini", "$(rm -rf ~)", "'; DROP TABLE models; --", "{0}%s%n"]
    for prompt, (event, data) in zip(prompts, ask_all(app, [["own", one, *SETTINGS] for one in prompts]), strict=True):
        assert event == "complete" and text_of(data) == app.expected(prompt)
    event, data = ask_all(app, [["medium", "\x00ROMEO\x1b[31m", *SETTINGS]])[0]
    assert event == "complete" and text_of(data).startswith("␀ROMEO␛[31m")


def test_files_pass_in_neither_direction(app):
    with httpx.Client(base_url=app.address, timeout=PATIENCE, trust_env=False) as client:
        assert client.post("gradio_api/upload", files={"files": ("a.txt", b"a" * 1000)}).status_code == 404
        places = ["/etc/passwd", "../../../etc/passwd", str(ROOT / "README.md"), "https://example.org/"]
        for place in places:
            for way in ("file=", "file/", "proxy="):
                assert client.get(f"gradio_api/{way}{place}").status_code == 404
        assert client.get("static/../../../../etc/passwd").status_code == 404
        assert client.get("assets/%2e%2e/%2e%2e/%2e%2e/__init__.py").status_code == 404
        for direct in ("run", "api"):
            past_the_queue = client.post(f"gradio_api/{direct}/write", json={"data": ["own", "a", *SETTINGS]})
            assert past_the_queue.status_code == 404
    assert still_writes(app)
