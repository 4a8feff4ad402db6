"""The command line's tokenizers: learnt, shown, used for cutting and for training."""

import json

import pytest

from minigpt import BPETokenizer, UserError, checkpoint, load_tokenizer
from minigpt.cli.tokenizer import open_tokenizer


@pytest.fixture
def text_file(tmp_path):
    (tmp_path / "mine.txt").write_text("the cat sat on the mat\n" * 20)
    return tmp_path / "mine.txt"


@pytest.fixture
def learnt(minigpt, text_file, tmp_path):
    out = tmp_path / "tokenizer.json"
    code, printed, _ = minigpt("tokenizer", "train", "--text", text_file, "--vocab-size", 265, "--out", out)
    assert code == 0 and "BPETokenizer(265 tokens)" in printed and "characters a token" in printed
    return out


def test_a_tokenizer_is_learnt_shown_and_used(minigpt, learnt, text_file):
    assert load_tokenizer(learnt).vocab_size == 265
    code, shown, _ = minigpt("tokenizer", "show", learnt, "--start", 256, "--limit", 2)
    assert code == 0 and len(shown.splitlines()) == 2 and "=" in shown
    code, cut, _ = minigpt("tokenizer", "encode", learnt, "the cat")
    assert code == 0 and len(cut.splitlines()) == len(load_tokenizer(learnt).encode("the cat"))
    code, _, err = minigpt("tokenizer", "train", "--text", text_file, "--vocab-size", 265, "--out", learnt)
    assert code == 1 and "exists already" in err
    assert minigpt("tokenizer", "train", "--text", text_file, "--vocab-size", 9, "--out", "x.json")[0] == 1


def test_a_model_is_trained_on_subwords(minigpt, learnt, text_file, tmp_path):
    own = tmp_path / "nano.json"
    model = {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}
    settings = {"max_steps": 3, "batch_size": 2, "eval_every": 2, "save_every": 2, "warmup_steps": 1}
    own.write_text(json.dumps({"description": "Small.", "model": model, "training": settings}))
    folder = tmp_path / "run"
    options = ("train", "--preset", own, "--text", text_file, "--out", folder, "--tokenizer", learnt)
    code, out, err = minigpt(*options)
    assert (code, err) == (0, "") or "nats per token" in out
    model, tokenizer = checkpoint.load(folder)
    assert isinstance(tokenizer, BPETokenizer) and model.config.vocab_size == 265
    code, out, _ = minigpt("generate", "--checkpoint", folder, "--prompt", "the", "--max-new-tokens", 5, "--seed", 1)
    assert code == 0 and out.startswith("the")
    code, out, _ = minigpt("evaluate", "--checkpoint", folder, "--text", text_file, "--json", "-")
    found = json.loads(out)
    assert found["n_characters"] > found["n_tokens"]
    code, _, err = minigpt(*options, "--resume")
    assert code == 1 and "leave out --tokenizer" in err


def test_a_name_that_is_no_tokenizer_is_named():
    with pytest.raises(UserError, match="There is no tokenizer 'gpt3'; name char, gpt2, or a file"):
        open_tokenizer("gpt3")
