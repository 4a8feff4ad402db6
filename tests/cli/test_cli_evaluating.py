"""`minigpt evaluate`: what it prints and writes is what the package measures."""

import json
import re

import pytest
import torch

from minigpt import BPETokenizer, checkpoint, evaluate, read_text, split_text
from minigpt.cli import evaluate as evaluating
from minigpt.data import foundation
from minigpt.data.shards import open_shards
from minigpt.utils.files import sha256_file


def test_it_says_what_the_package_measures(minigpt, saved, model, tokenizer, text, text_file):
    code, out, _ = minigpt("evaluate", "--checkpoint", saved, "--text", text_file)
    expected = evaluate(model, split_text(text, tokenizer).validation, 8, tokenizer=tokenizer)
    assert (code, out) == (0, f"my text.txt, validation part: {expected}\n")


@pytest.mark.parametrize("part", ["train", "validation", "whole"])
def test_json_holds_every_figure_and_where_it_comes_from(minigpt, saved, model, tokenizer, text, text_file, part):
    code, out, _ = minigpt("evaluate", "--checkpoint", saved, "--text", text_file, "--part", part, "--json", "-")
    ids = {**split_text(text, tokenizer)._asdict(), "whole": torch.tensor(tokenizer.encode(text))}[part]
    expected = evaluate(model, ids, 8, tokenizer=tokenizer).to_dict()
    values = json.loads(out)
    assert code == 0 and {name: values[name] for name in expected} == pytest.approx(expected)
    assert values["n_bytes"] == len(ids) - 1 and values["bits_per_byte"] == pytest.approx(values["bits_per_character"])
    assert values["text"] == {"name": "my text.txt", "part": part, "sha256": sha256_file(text_file)}
    assert values["checkpoint"]["sha256"] == sha256_file(saved / "model.safetensors")
    assert values["tokenizer"]["kind"] == "char" and values["tokenizer"]["vocab_size"] == tokenizer.vocab_size
    assert values["windows"] == {"block_size": 8, "at_most": None} and values["voices"] == {}
    assert {"date", "processor", "torch", "commit"} <= values["machine"].keys()


def test_json_goes_to_a_file_that_does_not_exist_yet(minigpt, saved, text_file, tmp_path):
    report = tmp_path / "found.json"
    options = ("evaluate", "--checkpoint", saved, "--text", text_file, "--json", report)
    code, out, _ = minigpt(*options)
    assert code == 0 and out == f"Written to {report}.\n"
    before = json.loads(report.read_text())
    assert before["loss"] > 0
    code, _, err = minigpt(*options)
    assert code == 1 and f"{report} exists already; choose another name" in err
    assert json.loads(report.read_text()) == before


def test_models_with_other_tokens_are_compared_in_bits_per_byte(minigpt, saved, make_model, text_file, tmp_path):
    text_file.write_text(read_text(text_file) + "naïve\n" * 40)
    subwords = BPETokenizer.train(read_text(text_file), 300)
    checkpoint.save(tmp_path / "subwords", make_model(vocab_size=300), subwords)
    options = ("--text", text_file, "--part", "whole", "--json", "-")
    values = json.loads(minigpt("evaluate", "--checkpoint", tmp_path / "subwords", *options)[1])
    whole = text_file.read_bytes()
    assert len(whole) - values["n_bytes"] == len(subwords.token_bytes(subwords.encode(read_text(text_file))[0]))
    assert values["n_characters"] < values["n_bytes"] and values["tokenizer"]["kind"] == "bpe"
    assert values["bits_per_byte"] * values["n_bytes"] == pytest.approx(values["bits_per_token"] * values["n_tokens"])


def test_shards_are_evaluated_with_the_tokenizer_that_made_them(minigpt, saved, model, tokenizer, text_file, tmp_path):
    own, shards = saved / "tokenizer.json", tmp_path / "shards"
    options = ("--text", text_file, "--out", shards, "--val-fraction", 0.2)
    assert minigpt("data", "prepare", *options, "--tokenizer", own, "--shard-tokens", 50)[0] == 0
    code, out, _ = minigpt("evaluate", "--checkpoint", saved, "--shards", shards, "--json", "-")
    validation = open_shards(shards).split.validation
    expected = evaluate(model, validation[:], 8, tokenizer=tokenizer).to_dict()
    values = json.loads(out)
    assert code == 0 and {name: values[name] for name in expected} == pytest.approx(expected)
    assert values["text"] == {"name": "shards", "part": "validation", "sha256": sha256_file(shards / "shards.json")}
    code, _, err = minigpt("evaluate", "--checkpoint", saved, "--shards", shards, "--part", "whole")
    assert code == 1 and "choose --part train or validation" in err
    code, _, err = minigpt("evaluate", "--checkpoint", saved, "--shards", shards, "--text", text_file)
    assert code == 1 and "--text and --shards both name a text; keep one" in err
    code, _, err = minigpt("evaluate", "--checkpoint", saved, "--corpus", "foundation", "--text", text_file)
    assert code == 1 and "--corpus and --text both name a text; keep one" in err


def test_shards_of_another_tokenizer_are_refused_with_the_way_out(minigpt, make_model, saved, text_file, tmp_path):
    shards, other = tmp_path / "shards", tmp_path / "other model"
    options = ("--text", text_file, "--out", shards, "--val-fraction", 0.2)
    assert minigpt("data", "prepare", *options, "--tokenizer", saved / "tokenizer.json")[0] == 0
    checkpoint.save(other, make_model(vocab_size=300), BPETokenizer.train(read_text(text_file), 300))
    code, _, err = minigpt("evaluate", "--checkpoint", other, "--shards", shards)
    assert code == 1 and "was prepared with another tokenizer than the model's" in err
    assert err.endswith(f"--tokenizer '{other / 'tokenizer.json'}'.\n")


def test_the_foundation_is_evaluated_voice_by_voice(minigpt, saved, model, tokenizer, text, monkeypatch):
    voices = {"verse": text, "code": text[: len(text) // 2]}
    monkeypatch.setattr(foundation, "source_versions", dict)
    made = foundation.make_foundation(voices, tokenizer)
    monkeypatch.setattr(evaluating, "load_foundation", lambda tokenizer: made)
    options = ("evaluate", "--checkpoint", saved, "--corpus", "foundation", "--max-windows", 6)
    code, out, _ = minigpt(*options, "--json", "-")
    values = json.loads(out)
    assert code == 0 and list(values["voices"]) == ["verse", "code"]
    expected = evaluate(model, made.voices["code"].validation, 8, max_windows=2)  # a third of the text
    assert values["voices"]["code"]["loss"] == pytest.approx(expected.loss)
    assert values["n_tokens"] == sum(voice["n_tokens"] for voice in values["voices"].values())
    _, out, _ = minigpt(*options)
    assert re.findall(r"^[\w, ]+: loss", out, re.MULTILINE) == [
        "foundation, validation part: loss",
        "verse: loss",
        "code: loss",
    ]
