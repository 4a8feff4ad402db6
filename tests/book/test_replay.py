"""The replay: its record holds what the run saw, an interrupted run leaves the same frames, and the panel is whole."""

import base64
import json
import re
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import replay as page

from experiments import replay_record as record_replay
from experiments.shipped import preset_run
from experiments.shipped import tiny as train_tiny
from minigpt import GPTConfig, UserError, read_run
from minigpt.checkpoint import find_checkpoint
from minigpt.utils.files import sha256_file

READ = "a small\nmodel"
SAMPLING = {"max_new_tokens": 8, "temperature": 0.8, "seed": 1}
STEPS = [0, 1, 3, 6, 9, 12]


@pytest.fixture
def train(monkeypatch, text, tokenizer, train_config):
    """Train a small model as `experiments/shipped/tiny.py` trains Tiny, perhaps for some steps only."""
    sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 16}
    corpus = SimpleNamespace(text=text, name="a text", sha256="0" * 64)
    changes = {
        "load_corpus": lambda name: corpus,
        "model_preset": lambda name: GPTConfig(**sizes, dropout=0.1),
        "training_preset": lambda name: train_config,
    }
    for name, value in changes.items():
        monkeypatch.setattr(preset_run, name, value)
    shown = {
        "READ": READ,
        "SAMPLE": SAMPLING,
        "EARLY": (0, 1),
        "EVERY": 3,
    }
    for name, value in shown.items():
        monkeypatch.setattr(train_tiny, name, value)
    monkeypatch.setattr(record_replay, "READ", READ)
    monkeypatch.setattr(record_replay, "SAMPLE", SAMPLING)

    def run(folder, steps=None):
        monkeypatch.setattr("sys.argv", ["train_tiny.py", "--out", str(folder)])
        monkeypatch.setattr(train_tiny, "progress_bar", lambda records, total, start: islice(records, steps))
        train_tiny.main()
        return folder

    return run


def test_an_interrupted_run_leaves_the_frames_of_one_that_was_not(train, tmp_path):
    whole = train(tmp_path / "whole")
    train(tmp_path / "parts", steps=6)
    with (tmp_path / "parts" / "frames.jsonl").open("a") as file:
        file.write('{"step": 9, "sam')  # the power fails in the middle of a line
    parts = train(tmp_path / "parts")
    assert (parts / "frames.jsonl").read_text() == (whole / "frames.jsonl").read_text()
    assert [record.loss for record in read_run(parts / "log.jsonl").records] == [
        record.loss for record in read_run(whole / "log.jsonl").records
    ]
    assert [frame["step"] for frame in record_replay.read_frames(whole / "frames.jsonl")] == STEPS
    before = (whole / "frames.jsonl").read_text()
    train(whole)  # a run that is over stays as it is
    assert (whole / "frames.jsonl").read_text() == before


def test_the_record_holds_what_the_run_saw(train, tmp_path, text):
    folder = train(tmp_path / "run")
    found = record_replay.replay(folder, "1.0")
    run = read_run(folder / "log.jsonl")
    assert found["finished"] and found["sha256"] == sha256_file(find_checkpoint(folder / "last") / "model.safetensors")
    assert found["corpus"]["name"] == "a text" and found["machine"] == run.header["machine"]
    assert found["validation"] == [[record.step, round(record.validation_loss, 4)] for record in run.evaluations]
    assert found["course"]["step"] == [1, 10, 12]
    assert found["course"]["loss"][1] == pytest.approx(np.mean([record.loss for record in run.records[:10]]), abs=1e-4)
    assert [frame["step"] for frame in found["frames"]] == STEPS
    assert all(frame["sample"].startswith("a") and len(frame["sample"]) == 9 for frame in found["frames"])
    for frame in found["frames"]:
        shares = np.frombuffer(base64.b64decode(frame["attention"]), dtype=np.uint8) / 255
        rows = [shares[t * (t + 1) // 2 : (t + 1) * (t + 2) // 2] for t in range(len(READ))]
        assert sum(map(len, rows)) == len(shares)
        assert [row.sum() for row in rows] == pytest.approx(np.ones(len(READ)), abs=0.03)
        assert frame["before"] == pytest.approx(np.mean([row[-2] for row in rows[1:]]), abs=1e-4)


def test_a_run_that_goes_on_gives_a_record_that_says_so(train, tmp_path):
    folder = train(tmp_path / "run", steps=7)
    with (folder / "frames.jsonl").open("a") as file:
        file.write('{"step": 9, "sam')
    found = record_replay.replay(folder)
    assert not found["finished"] and "sha256" not in found
    assert [frame["step"] for frame in found["frames"]] == [0, 1, 3, 6]
    assert "had not come to its end" in page.panel(found)


def test_the_head_that_looks_at_the_character_before_is_found():
    before, even = np.eye(5, k=-1), np.tri(5) / np.arange(1, 6)[:, None]
    texts = [base64.b64encode((255 * matrix).round().astype(np.uint8).tobytes()) for matrix in (even, before)]
    frame = {"attention": {"0.0": texts[0].decode(), "0.1": texts[1].decode()}}
    assert record_replay.clearest_head(frame) == "0.1"
    assert record_replay.share_before(255 * before) == 1
    assert base64.b64decode(record_replay.packed(np.arange(9, dtype=np.uint8).reshape(3, 3))) == bytes(
        [0, 3, 4, 6, 7, 8]
    )


def test_what_is_missing_is_named(train, tmp_path, monkeypatch):
    folder = train(tmp_path / "run", steps=3)
    with pytest.raises(UserError, match=r"no head '7.7' in this run; choose one of 0.0, 0.1, 1.0, 1.1"):
        record_replay.replay(folder, "7.7")
    (folder / "frames.jsonl").unlink()
    monkeypatch.setattr("sys.argv", ["record_replay.py", "--run", str(folder), "--out", str(tmp_path / "r.json")])
    with pytest.raises(SystemExit, match="holds no frames; make the run with experiments/shipped/tiny.py"):
        record_replay.main()
    assert not (tmp_path / "r.json").exists()


def test_the_command_writes_the_record(train, tmp_path, monkeypatch):
    folder, out = train(tmp_path / "run", steps=3), tmp_path / "replay.json"
    monkeypatch.setattr("sys.argv", ["record_replay.py", "--run", str(folder), "--out", str(out), "--head", "0.1"])
    record_replay.main()
    assert json.loads(out.read_text()) == record_replay.replay(folder, "0.1")


def test_the_panel_shows_the_run_and_asks_for_nothing(train, tmp_path):
    found = record_replay.replay(train(tmp_path / "run"), "1.0")
    found["frames"][-1]["sample"] = "a</script><b>&"
    html = page.panel(found)
    assert "Head 1 of layer 2" in html
    assert "<pre" in html and "a&lt;/script&gt;&lt;b&gt;&amp;</pre>" in html
    assert html.count("</script>") == 2
    held = re.search(r'data-part="record">(.*?)</script>', html, re.DOTALL)[1]
    assert json.loads(held) == found
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|\bfetch\(|\bimport\b", html)
    for svg in re.findall(r"<svg .*?>", html):
        assert 'role="img"' in svg and "aria-label=" in svg


def test_a_curve_fills_its_drawing_and_is_put_into_words():
    curve = page.Curve("Loss", [(1, 4.0), (50, 1.0)], 0.0, 4.0, [(25, 2.0)], ("training", "validation"), "tall")
    html = curve.html(100)
    assert 'd="M10.0 0.0L500.0 750.0"' in html
    assert 'class="points" d="M250.0 500.0h0"' in html
    assert curve.in_words() == "Loss: 4 at step 1, 1 at step 50; validation 2 at the end"
    rate = page.Curve("Learning rate", [(0, 0.0), (10, 0.5), (20, 0.1)], 0.0, 0.5)
    assert rate.in_words() == "Learning rate: 0 at step 0, at its highest 0.5 at step 10, 0.1 at step 20"


def test_the_shipped_record_is_small_and_of_one_piece():
    record = json.loads(page.RECORD.read_text("utf-8"))
    assert page.RECORD.stat().st_size < 300_000
    steps = [frame["step"] for frame in record["frames"]]
    assert steps == sorted(set(steps)) and steps[0] == 0
    size = len(record["read"])
    assert all(len(base64.b64decode(frame["attention"])) == size * (size + 1) // 2 for frame in record["frames"])
    assert record["head"] in page.panel(record) or page.head_name(record) in page.panel(record)
