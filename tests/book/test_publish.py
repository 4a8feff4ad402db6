"""Publishing a run: the record and the card say what was measured, voice by voice where there are several."""

import json

import pytest
import torch

from experiments.shipped import publish
from minigpt import Split, Trainer, checkpoint, read_run
from minigpt.data.foundation import Foundation


@pytest.fixture
def run(tmp_path, make_model, data, tokenizer, train_config):
    """A finished run's folder."""
    note = {"name": "nano", "corpus": {"name": "little"}}
    folder = tmp_path / "run"
    list(
        Trainer(make_model(), data, train_config, tokenizer=tokenizer, folder=folder, device="cpu", metadata=note).run()
    )
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder in the place of the repository."""
    monkeypatch.setattr(publish, "ROOT", tmp_path / "root")
    about = publish.About(place="a model", prompts=("a ", "the\n"), split="The last part.", remarks="It is small.")
    monkeypatch.setattr(publish, "ABOUT", {"tiny": about, "medium": about})
    monkeypatch.setattr(publish, "SAMPLING", {"max_new_tokens": 20, "temperature": 0.8, "seed": 1})
    (tmp_path / "root" / "checkpoints").mkdir(parents=True)
    return tmp_path / "root"


def test_a_run_becomes_a_checkpoint_with_a_card_and_a_record(run, root, data, monkeypatch):
    monkeypatch.setattr(publish, "held_out", lambda corpus, tokenizer: {corpus: data.validation})
    publish.publish(run, "tiny", "little")
    record = read_run(root / "results" / "nano.jsonl")
    evaluation = record.header["evaluation"]
    assert evaluation["n_tokens"] == len(data.validation) - 1 and "voices" not in evaluation
    card = (root / "checkpoints" / "tiny" / "README.md").read_text("utf-8")
    assert f"{evaluation['loss']:.4f} nats per token" in card
    assert "With the prompt `the\\n`" in card and "It is small." in card and "`results/nano.jsonl`" in card
    assert checkpoint.load(root / "checkpoints" / "tiny").model.config.block_size == 8


def test_voices_are_told_apart(run, root, data, tokenizer, monkeypatch):
    parts = torch.tensor_split(data.train.to(torch.uint8), [100])
    ids = torch.cat([*parts, data.validation[:20].to(torch.uint8), data.validation[20:].to(torch.uint8)])
    lengths = {"verse": (100, 20), "code": (len(parts[1]), len(data.validation) - 20)}
    foundation = Foundation(tokenizer, ids, lengths, {})
    assert isinstance(foundation.voices["code"], Split)
    monkeypatch.setattr(publish, "load_foundation", lambda tokenizer: foundation)
    (run / "voices.jsonl").write_text(json.dumps({"step": 4, "verse": 2.0, "code": 1.0}) + "\n")
    publish.publish(run, "medium", "foundation")
    header = read_run(root / "results" / "medium.jsonl").header
    assert header["by_voice"] == [{"step": 4, "verse": 2.0, "code": 1.0}]
    voices = header["evaluation"]["voices"]
    total = sum(voice["loss"] * voice["n_tokens"] for voice in voices.values())
    assert header["evaluation"]["loss"] == pytest.approx(total / header["evaluation"]["n_tokens"])
    card = (root / "checkpoints" / "medium" / "README.md").read_text("utf-8")
    assert f"| code: bits per character | {voices['code']['bits_per_character']:.3f} |" in card


def test_the_machine_is_told_in_a_sentence(run):
    record = read_run(run / "log.jsonl")
    machine = {"processor": "A chip", "threads": 1, "torch": "9.9"}
    record.header |= {"machine": machine, "resumed": [{"step": 1500, "machine": machine | {"threads": 2}}]}
    assert publish.machine_sentence(record) == "A chip, 1 thread, 2 threads from step 1,500 on, torch 9.9"
