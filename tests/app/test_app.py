"""The app without its page: what a request may be, how it is carried out, what there is to choose, what is shown."""

import asyncio
import itertools
import math
import socket
import sys

import pytest
import torch

from minigpt import BPETokenizer, CharTokenizer, Sampler, UserError, checkpoint, generate
from minigpt.app.jobs import run_request
from minigpt.app.middleware import MAX_BODY_BYTES, RequestFilter
from minigpt.app.models import ModelRegistry
from minigpt.app.rendering import as_text, render_samples
from minigpt.app.requests import LARGEST_SEED, GenerationRequest, Limits, read_request

LIMITS = Limits(prompt=20, max_new_tokens=50, samples=3, temperature=2.0)


def ask(prompt: str = "a small", **changes) -> GenerationRequest:
    return read_request(LIMITS, prompt, **{"max_new_tokens": 12, "seed": 5} | changes)


# --- requests


def test_a_request_within_the_limits_is_what_was_asked_for():
    request = read_request(LIMITS, "a", 0.5, 3, 0.9, 40.0, 2.0, 7)
    assert request == GenerationRequest("a", Sampler(temperature=0.5, top_k=3, top_p=0.9), 40, 2, 7)
    assert list(request.seeds) == [7, 8]
    assert isinstance(request.max_new_tokens, int)


def test_empty_fields_are_no_mistakes():
    request = read_request(LIMITS, "a", top_k=None, seed=None, max_new_tokens=5)
    assert request.sampler == read_request(LIMITS, "a", top_k=0, max_new_tokens=5).sampler
    assert request.sampler.top_k is None and 0 <= request.seed <= LARGEST_SEED
    assert len({read_request(LIMITS, "a", max_new_tokens=5).seed for _ in range(5)}) > 1


WRONG = [
    ({"prompt": "a" * 21}, "The prompt has 21 characters; shorten it to 20 or fewer."),
    ({"prompt": None}, "The prompt must be a text"),
    ({"prompt": ["a"]}, "The prompt must be a text"),
    ({"prompt": "a\ud800"}, "The prompt: The text holds half of a surrogate pair"),
    ({"temperature": math.nan}, "temperature = nan must lie between 0 and 2."),
    ({"temperature": math.inf}, "temperature = inf must lie between 0 and 2."),
    ({"temperature": -1}, "temperature = -1 must lie between 0 and 2."),
    ({"temperature": 1e-9}, "temperature = 1e-09 must be at least 0.0001, or 0"),
    ({"temperature": "hot"}, "temperature = 'hot' must lie between 0 and 2."),
    ({"temperature": True}, "temperature = True must lie between 0 and 2."),
    ({"temperature": None}, "temperature = None must lie between 0 and 2."),
    ({"top_k": -3}, "top_k = -3 must be at least 0; 0 keeps every token."),
    ({"top_k": 2.5}, "top_k = 2.5 must be a whole number; round it."),
    ({"top_k": math.inf}, "top_k = inf must be a whole number"),
    ({"top_p": 0}, "top_p = 0 must be above 0 and at most 1."),
    ({"top_p": 1.5}, "top_p = 1.5 must lie between 0 and 1."),
    ({"max_new_tokens": 51}, "max_new_tokens = 51 must lie between 1 and 50."),
    ({"max_new_tokens": 0}, "max_new_tokens = 0 must lie between 1 and 50."),
    ({"samples": 4}, "samples = 4 must lie between 1 and 3."),
    ({"seed": -1}, f"seed = -1 must lie between 0 and {LARGEST_SEED}."),
    ({"seed": 10**400}, "seed = 1000000000000000000000000000000000000000… must lie"),
    ({"seed": {"a": 1}}, "seed = {'a': 1} must lie"),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[str(changes)[:40] for changes, _ in WRONG])
def test_a_request_beyond_the_limits_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(UserError) as raised:
        ask(**changes)
    assert sentence in str(raised.value)
    assert len(str(raised.value)) < 160


# --- writing


def test_samples_are_what_the_package_writes_with_each_seed(model, tokenizer):
    *steps, last = run_request(model, tokenizer, ask(samples=2, top_k=9), seconds=60, every=0)
    settings = {"max_new_tokens": 12, "temperature": 0.8, "top_k": 9, "top_p": 1.0}
    assert list(last.texts) == [
        generate(model, tokenizer, "a small", seed=seed, **settings).removeprefix("a small") for seed in (5, 6)
    ]
    assert last.finished and "24 tokens in" in last.status and "seed 5." in last.status
    assert len(steps) == 24 and not any(step.finished for step in steps)
    for earlier, later in itertools.pairwise([*steps, last]):
        assert all(new.startswith(old) for old, new in zip(earlier.texts, later.texts, strict=False))


def test_steps_are_told_no_oftener_than_asked_for(model, tokenizer):
    ticks = itertools.count()
    steps = list(run_request(model, tokenizer, ask(), seconds=1e6, every=1e5, clock=lambda: next(ticks)))
    assert len(steps) == 1 and steps[0].finished and len(steps[0].texts[0]) == 12


def test_the_time_limit_ends_a_request_where_it_is(model, tokenizer):
    ticks = itertools.count()
    last = list(run_request(model, tokenizer, ask(samples=3), seconds=10, clock=lambda: next(ticks)))[-1]
    assert last.finished and len(last.texts) == 1 and 0 < len(last.texts[0]) < 12
    assert "It ended there because a request may take no more than 10 seconds." in last.status


def test_a_prompt_longer_than_the_context_is_said_to_be(model, tokenizer):
    last = list(run_request(model, tokenizer, ask("a small model reads"), seconds=60))[-1]
    assert last.status.endswith("Of the 19 tokens of the prompt, the model has read the last 8.")


def test_what_the_tokenizer_refuses_is_a_sentence(model, tokenizer):
    sentences = {"": "The prompt is empty", "a\x00": r"'\x00'", "Ω": "The prompt: The character 'Ω'"}
    for prompt, sentence in sentences.items():
        with pytest.raises(UserError, match="prompt") as raised:
            list(run_request(model, tokenizer, ask(prompt), seconds=60))
        assert sentence in str(raised.value)


def test_half_a_character_is_held_back(make_model):
    tokenizer = BPETokenizer.train("αβγδ" * 50, 258, special=())
    model = make_model(vocab_size=258)
    for step in run_request(model, tokenizer, ask("α", max_new_tokens=40), seconds=60, every=0):
        assert step.finished or "\N{REPLACEMENT CHARACTER}" not in step.texts[0][-1:]


# --- the models


def test_the_shelf_holds_the_shipped_models_and_ones_own(saved, tmp_path, model, tokenizer):
    checkpoint.save(tmp_path / "deeper" / "saved", model, tokenizer)
    models = ModelRegistry([saved, tmp_path / "deeper" / "saved", saved])
    assert models.names[:2] == ["saved", "saved (2)"] and {"tiny", "medium"} <= set(models.names[2:])
    assert list(models.loaded) == ["saved", "saved (2)"], "the others are read when they are asked for"
    assert torch.equal(models.get("saved").model.token_embedding.weight.cpu(), model.token_embedding.weight)
    assert models.get("saved") is models.get("saved")
    assert models.facts("saved").endswith("characters, and looks at most 8 of them back.")
    assert "65 characters" in models.facts("tiny")
    assert not models.get("tiny").model.training


def test_a_visitor_cannot_name_a_folder(saved):
    models = ModelRegistry()
    for name in (str(saved), "../tiny", "checkpoints/tiny", "", None, ["tiny"], 0, "tiny\x00"):
        with pytest.raises(UserError, match="There is no such model here; choose one of") as raised:
            models.get(name)
        assert "/" not in str(raised.value)


def test_a_folder_of_ones_own_that_cannot_be_read_is_a_mistake_at_the_start(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        ModelRegistry([tmp_path])


def test_every_model_opens_with_a_prompt_it_can_read(tmp_path, make_model):
    models = ModelRegistry()
    assert {models.default_prompt(name) for name in models.names} == {"ROMEO:\n"}
    for characters, opening in {"\nxy": "\n", "xy": "x"}.items():
        folder = tmp_path / f"with-{len(characters)}"
        checkpoint.save(folder, make_model(vocab_size=len(characters)), CharTokenizer(characters))
        assert ModelRegistry([folder]).default_prompt(folder.name) == opening


# --- what is shown


def test_nothing_in_a_text_is_markup():
    shown = render_samples("<script>", ["<b>&</b>", 'x"'], [3, 4])
    assert "<script" not in shown and "<b>" not in shown
    assert "&lt;script&gt;" in shown and "&lt;b&gt;&amp;&lt;/b&gt;" in shown
    assert "Sample 1, seed 3" in shown and "Sample 2, seed 4" in shown
    assert "Sample" not in render_samples("a", ["b"], [3])


def test_what_cannot_be_seen_is_shown_by_a_picture():
    assert as_text("a\x00b\x1bc\x7f\n\t") == "a␀b␛c␡\n\t"


# --- the gate


async def answer(scope, receive, send):
    """An app that reads the whole of a request and sends it back."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": body})


def through(path: str, method: str = "GET", body: bytes = b"", announced: str | None = None) -> tuple[int, bytes, dict]:
    """Send a request through the gate; return the status, the body and the headers of the answer."""
    pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)] or [b""]
    headers = [(b"content-length", announced.encode())] if announced else []
    sent = []

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    asyncio.run(
        RequestFilter(answer)({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    )
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


def test_what_the_page_needs_passes_the_gate_unchanged():
    for path in ("/", "/config", "/assets/index.js", "/gradio_api/queue/data", "/gradio_api/call/write/3"):
        assert through(path)[0] == 200
    body = bytes(range(256)) * 20
    assert through("/gradio_api/queue/join", "POST", body, str(len(body)))[:2] == (200, body)


def test_files_pass_in_neither_direction():
    closed = ["upload", "upload_progress", "file=/etc/passwd", "file/etc/passwd", "proxy=http://x", "component_server"]
    closed += ["stream/a", "custom_component/a/b/c/d", "api/write", "vibe-code", "process_recording"]
    for path in [*(f"/gradio_api/{name}" for name in closed), "/upload", "/login", "/monitoring", "/static/../config"]:
        for method in ("GET", "POST"):
            assert through(path, method)[:2] == (404, b""), path


def test_a_request_has_a_largest_size_whatever_it_says_of_itself():
    for announced in (None, "5", str(MAX_BODY_BYTES + 1), "-1", "many"):
        assert through("/gradio_api/queue/join", "POST", b"x" * (MAX_BODY_BYTES + 1), announced)[0] == 413
    assert through("/gradio_api/queue/join", "POST", b"x" * MAX_BODY_BYTES)[0] == 200


def test_every_answer_forbids_other_hosts():
    for path in ("/", "/upload"):
        policy = through(path)[2][b"content-security-policy"]
        assert b"default-src 'self'" in policy and b"http" not in policy and b"*" not in policy


# --- the command


def test_without_gradio_the_command_says_what_to_install(minigpt, saved, monkeypatch):
    monkeypatch.delitem(sys.modules, "minigpt.app.page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, out, err = minigpt("app", "--checkpoint", saved)
    assert (code, out) == (1, "")
    assert err == "minigpt: The app needs Gradio (gradio is not installed); run pip install gradio.\n"


@pytest.mark.parametrize("wrong", ["--port 0", "--port many", "--timeout 0", "--chekpoint x", "stray"])
def test_a_misused_option_is_exit_code_2(minigpt, wrong):
    code, out, err = minigpt("app", *wrong.split())
    assert code == 2 and "Traceback" not in out + err


def test_a_folder_without_a_checkpoint_and_a_port_in_use_are_sentences(minigpt, saved, tmp_path):
    pytest.importorskip("gradio", reason="Gradio is not installed.")
    code, _, err = minigpt("app", "--checkpoint", tmp_path)
    assert code == 1 and "holds no checkpoint" in err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = minigpt("app", "--checkpoint", saved, "--port", port)
    assert code == 1 and f"Port {port} of 127.0.0.1 cannot be served at; choose another one with --port." in err
