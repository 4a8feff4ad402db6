"""`minigpt data prepare`, `minigpt data check`, and training on what they made."""

import json
import signal

import pytest

from minigpt import BPETokenizer, CharTokenizer, checkpoint, open_shards
from minigpt.cli import data
from minigpt.data import documents
from minigpt.data.prepare import ShardWriter

NANO = {
    "description": "The smallest of all.",
    "model": {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8},
    "training": {"max_steps": 4, "batch_size": 2, "eval_every": 2, "save_every": 2, "warmup_steps": 1},
}


@pytest.fixture
def text_file(tmp_path):
    (tmp_path / "mine.txt").write_text("the cat sat on the mat\n\nthe dog did not\n\n" * 40)
    return tmp_path / "mine.txt"


@pytest.fixture
def shards(minigpt, text_file, tmp_path):
    """The text in shards, with a tokenizer of its own."""
    BPETokenizer.train(text_file.read_text(), 270).save(tmp_path / "tokenizer.json")
    options = ("--separator", r"\n\n", "--tokenizer", tmp_path / "tokenizer.json", "--shard-tokens", 100)
    code, out, err = minigpt("data", "prepare", "--text", text_file, "--out", tmp_path / "shards", *options)
    assert code == 0, err
    assert "train 727 tokens in 76 documents" in out and "minigpt train --shards" in out
    return tmp_path / "shards"


def test_a_text_is_prepared_and_checked(minigpt, shards):
    assert len(list(shards.glob("train-*.bin"))) == 8
    prepared = open_shards(shards)
    assert prepared.tokenizer.decode(prepared.split.train[:16].tolist()).startswith(
        "the cat sat on the mat<|endoftext|>"
    )
    code, out, _ = minigpt("data", "check", shards)
    assert code == 0 and out.startswith(f"{shards}: train") and "All checksums are right." in out
    (shards / "train-00003.bin").write_bytes(bytes(200))
    code, _, err = minigpt("data", "check", shards)
    assert code == 1 and "train-00003.bin does not have the checksum" in err


def test_the_characters_of_a_text_are_its_tokens_if_wished(minigpt, text_file, tmp_path):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("a bird")
    options = ("--validation", held_out, "--tokenizer", "char", "--out", tmp_path / "shards")
    assert minigpt("data", "prepare", "--text", text_file, "--text", text_file, *options)[0] == 0
    prepared = open_shards(tmp_path / "shards")
    assert prepared.tokenizer.characters == "".join(sorted(set(text_file.read_text() + "a bird")))
    assert prepared.tokenizer.decode(prepared.split.validation[:].tolist()) == "a bird"
    assert prepared.tokenizer.decode(prepared.split.train[:].tolist()) == "\n".join([text_file.read_text()] * 2)


def test_a_corpus_is_prepared_as_one_document(minigpt, tmp_path, plays):
    CharTokenizer.from_text("abc", unknown="?").save(tmp_path / "tokenizer.json")
    options = ("--corpus", "shakespeare-plays", "--tokenizer", tmp_path / "tokenizer.json", "--out", tmp_path / "out")
    code, out, _ = minigpt("data", "prepare", *options)
    assert code == 0 and "shakespeare-plays: 4," in out
    train, validation = open_shards(tmp_path / "out").split
    assert len(validation) / (len(train) + len(validation)) == pytest.approx(0.05, abs=1e-4)


def test_a_model_trains_on_shards_and_goes_on(minigpt, shards, text_file, tmp_path):
    (tmp_path / "nano.json").write_text(json.dumps(NANO))
    run = ("train", "--preset", tmp_path / "nano.json", "--out", tmp_path / "run", "--device", "cpu")
    code, out, err = minigpt(*run, "--shards", shards)
    assert code == 0, err
    assert "shards: train 727 tokens in 76 documents" in out
    assert f"--resume --out {tmp_path / 'run'} --shards {shards} --device cpu --max-steps 8" in out
    model, tokenizer = checkpoint.load(tmp_path / "run")
    assert isinstance(tokenizer, BPETokenizer) and model.config.vocab_size == 270

    assert minigpt(*run, "--shards", shards, "--resume", "--max-steps", 6)[0] == 0
    code, _, err = minigpt(*run, "--text", text_file, "--resume", "--max-steps", 8)
    assert code == 1 and "was trained on another text (shards) than mine.txt" in err
    for option, value in (("--corpus", "tinyshakespeare"), ("--text", text_file)):
        code, _, err = minigpt(*run, "--shards", shards, option, value)
        assert code == 1 and f"{option} and --shards both name a text; keep one" in err
    code, _, err = minigpt(*run, "--shards", tmp_path)
    assert code == 1 and "holds no finished shards" in err
    CharTokenizer("abc").save(tmp_path / "other.json")
    code, _, err = minigpt(*run, "--shards", shards, "--tokenizer", tmp_path / "other.json")
    assert code == 1 and "bring their own tokenizer; leave out --tokenizer" in err


def test_ctrl_c_notes_how_far_it_came(minigpt, text_file, tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "BATCH", 100)
    options = ("data", "prepare", "--text", text_file, "--tokenizer", "char", "--out", tmp_path / "shards")
    append, batches = ShardWriter.append, 0

    def interrupt_the_third(self, encoded):
        nonlocal batches
        batches += 1
        if batches == 3:
            signal.raise_signal(signal.SIGINT)
        append(self, encoded)

    monkeypatch.setattr(ShardWriter, "append", interrupt_the_third)
    code, out, _ = minigpt(*options, "--separator", r"\n\n")
    assert code == 130 and "the same command goes on from there" in out
    assert json.loads((tmp_path / "shards" / "progress.json").read_text())["parts"]["train"]["open_tokens"] > 200
    assert minigpt(*options, "--separator", r"\n\n")[0] == 0
    assert open_shards(tmp_path / "shards").manifest["parts"]["train"]["documents"] == 76


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Name what to prepare with one of --text, --corpus, --source; given: none"),
        (("--text", "a", "--corpus", "b"), "one of --text, --corpus, --source; given: --text and --corpus"),
        (("--text", "nowhere.txt"), "nowhere.txt does not exist; check the path"),
        (("--corpus", "plays"), "There is no corpus 'plays'"),
        (("--source", "stories"), "There is no data set 'stories'; the data sets are tinystories, fineweb-edu"),
        (("--text", "a", "--validation", "b", "--val-fraction", "0"), "are two ways to hold out; keep one"),
    ],
)
def test_bad_options_are_one_sentence(minigpt, tmp_path, options, message):
    code, _, err = minigpt("data", "prepare", *options, "--tokenizer", "char", "--out", tmp_path / "out")
    assert code == 1 and message in err
    assert not (tmp_path / "out").exists()


def test_the_help_says_how(minigpt, monkeypatch):
    code, out, _ = minigpt("data", "--help")
    assert code == 0 and "prepare" in out and "check" in out
    monkeypatch.setattr(data, "CORPORA", {})
    _, out, _ = minigpt("data", "list")
    assert "Licence: CDLA-Sharing-1.0" in out and "ODC-BY" in out and "--source fineweb-edu" in out
    code, out, _ = minigpt("data", "prepare", "--help")
    assert code == 0 and "Usage: minigpt data prepare" in out and "tinystories" in out
