"""The page of `minigpt export web` in a browser, served as the command says: one's own model writes there, offline."""

import http.server
import re
import shlex
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from minigpt import GPT, CharTokenizer, GPTConfig, checkpoint

pytestmark = pytest.mark.slow

TOKENIZER = CharTokenizer("\n <&abcdefg")


@pytest.fixture
def exported(minigpt, tmp_path) -> tuple[Path, list[str]]:
    """The folder of an exported model, and the command that serves it."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, block_size=16, n_layer=2, n_head=2, n_embd=16))
    checkpoint.save(tmp_path / "run", model, TOKENIZER)
    code, out, err = minigpt("export", "web", tmp_path / "run", "--out", tmp_path / "my <model>")
    assert code == 0, err
    assert "open http://127.0.0.1:8000/:\n  python -m http.server" in out
    return tmp_path / "my <model>", shlex.split(out.splitlines()[-1])


@pytest.fixture
def address(exported) -> Iterator[str]:
    folder, command = exported
    assert command == ["python", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder)]
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=command[-1])
    handler.func.log_message = lambda *arguments: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_ones_own_model_writes_in_a_browser(browser, address):
    page = browser.new_page()
    wrong, asked = [], []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("[data-part=write]:enabled")
    page.wait_for_selector("[data-part=bars] li")
    assert page.title() == page.inner_text("h1") == "my <model>"
    assert page.input_value("[name=prompt]") == "\n"
    page.fill("[name=prompt]", "a<b")
    page.fill("[name=most]", "40")
    page.click("[data-part=write]")
    page.wait_for_selector("[data-part=written][aria-busy=false]")
    page.wait_for_selector("[data-part=stop]:disabled", state="attached")
    written = page.text_content("[data-part=written]")
    assert len(written) == 43 and written.startswith("a<b") and set(written) <= set(TOKENIZER.characters)
    assert page.locator("[data-part=layer] option").count() == 2
    assert not wrong and all(url.startswith((address, "data:")) for url in asked)
    page.close()


def test_opened_as_a_file_it_says_what_to_do(browser, exported):
    page = browser.new_page()
    page.goto((exported[0] / "index.html").as_uri())
    assert "run python -m http.server in its folder" in page.inner_text("#playground-file")
    page.close()


def test_the_folder_is_small_and_speaks_of_no_other_model(exported):
    files = {path.relative_to(exported[0]).as_posix(): path.stat().st_size for path in exported[0].rglob("*.*")}
    own = {"index.html", "manifest.json", "weights.bin"}
    assert own < set(files) and {name.split("/")[0] for name in set(files) - own} == {"playground"}
    assert sum(size for name, size in files.items() if name.startswith("playground")) < 60_000
    page = (exported[0] / "index.html").read_text("utf-8")
    assert not re.search(r"https?://|radio|Shakespeare|ROMEO|make serve", page)
