"""The files that come with the book are found in a checkout and in an installed package."""

import re
from pathlib import Path

import pytest

from minigpt import (
    GPTConfig,
    TrainConfig,
    UserError,
    asset_path,
    checkpoint,
    count_parameters,
    evaluate,
    generate,
    load_corpus,
    model_preset,
    read_run,
    split_text,
    training_preset,
)
from minigpt.data.foundation import UNKNOWN
from minigpt.planning.counting import num_parameters
from minigpt.utils.files import CHECKSUM_FILE as CHECKSUMS
from minigpt.utils.files import read_json


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """A package folder of its own, as if minigpt were installed there."""
    package = tmp_path / "minigpt"
    (package / "utils").mkdir(parents=True)
    monkeypatch.setitem(asset_path.__globals__, "__file__", str(package / "utils" / "machine.py"))
    return package


def test_found_inside_an_installed_package(installed):
    (installed / "results").mkdir()
    (installed / "results" / "one.jsonl").touch()
    assert asset_path("results/one.jsonl") == installed / "results" / "one.jsonl"


def test_found_beside_the_package_in_a_checkout(installed):
    (installed.parent / "results").mkdir()
    assert asset_path("results") == installed.parent / "results"


def test_what_is_not_shipped_is_named(installed):
    with pytest.raises(UserError, match="Nothing named 'results/two.jsonl' is shipped"):
        asset_path("results/two.jsonl")


def test_the_records_folder_is_shipped():
    assert asset_path("results").is_dir()


@pytest.fixture(scope="module")
def tiny() -> Path:
    return asset_path("checkpoints/tiny")


def test_the_shipped_model_is_whole_and_the_one_of_part_one(tiny):
    assert (tiny / CHECKSUMS).exists()
    model, tokenizer = checkpoint.load(tiny)
    assert model.config == model_preset("tiny-shakespeare")
    assert count_parameters(model) == 3_221_825
    assert tokenizer.vocab_size == 65


def test_the_shipped_model_speaks(tiny):
    model, tokenizer = checkpoint.load(tiny)
    written = generate(model, tokenizer, "ROMEO:", max_new_tokens=60, temperature=0.5, seed=1)
    words = re.findall(r"\b(?:the|and|of|to|I|my|you|that|in|a|is|not|be|with|it|thy|thou|me|him|her)\b", written)
    assert len(words) >= 3, written


def test_the_record_of_the_shipped_model_reaches_its_goal():
    run = read_run(asset_path("results/tiny-shakespeare.jsonl"))
    assert GPTConfig.from_dict(run.header["model"]) == model_preset("tiny-shakespeare")
    assert TrainConfig.from_dict(run.header["training"]) == training_preset("tiny-shakespeare")
    assert run.header["evaluation"]["loss"] <= 1.55
    assert run.header["evaluation"]["n_tokens"] == round(1_115_394 * 0.1) - 1


def test_the_medium_model_is_whole_and_knows_its_voices():
    model, tokenizer = checkpoint.load(asset_path("checkpoints/medium"))
    assert model.config == model_preset("medium-char")
    assert count_parameters(model) == 3_322_368
    assert (tokenizer.vocab_size, tokenizer.unknown) == (190, UNKNOWN)
    written = generate(model, tokenizer, "def __init__(self, ", max_new_tokens=60, temperature=0.5, seed=1)
    assert re.search(r"\w\):\n {4}", written), written


def test_the_record_of_the_medium_model_tells_its_voices_apart():
    run = read_run(asset_path("results/medium.jsonl"))
    assert GPTConfig.from_dict(run.header["model"]) == model_preset("medium-char")
    assert TrainConfig.from_dict(run.header["training"]) == training_preset("medium-char")
    evaluation = run.header["evaluation"]
    voices = evaluation["voices"]
    assert evaluation["checkpoint_step"] == run.best.step
    assert voices["code"]["loss"] < voices["prose"]["loss"] < voices["verse"]["loss"] < 1.8
    assert sum(voice["n_tokens"] for voice in voices.values()) == evaluation["n_tokens"]
    card = (asset_path("checkpoints/medium") / "README.md").read_text("utf-8")
    assert all(f"{voice['bits_per_character']:.3f}" in card for voice in voices.values())


def test_the_model_of_subwords_predicts_as_well_as_its_record_says(plays):
    model, tokenizer = checkpoint.load(asset_path("checkpoints/plays-bpe"))
    assert model.config == model_preset("plays-bpe")
    run = read_run(asset_path("results/plays-bpe.jsonl"))
    assert TrainConfig.from_dict(run.header["training"]) == training_preset("plays-bpe")
    text = load_corpus("shakespeare-plays").text
    held_out = split_text(text[-len(text) // 10 :], tokenizer, val_fraction=0.5).validation
    found = evaluate(model, held_out, model.config.block_size, max_windows=32)
    assert found.loss == pytest.approx(run.header["evaluation"]["loss"], abs=0.15)
    card = (asset_path("checkpoints/plays-bpe") / "README.md").read_text("utf-8")
    assert f"{run.header['evaluation']['bits_per_character']:.3f}" in card


def test_the_larger_model_is_announced_by_its_configuration_and_its_card():
    folder = asset_path("checkpoints/gpt2-small")
    with pytest.raises(UserError, match=r"holds a configuration but no weights; see the README\.md there"):
        checkpoint.load(folder)
    values = read_json(folder / "config.json")
    config = GPTConfig.from_dict(values["model"])
    assert config == model_preset("gpt2-small-32k")
    card = (folder / "README.md").read_text("utf-8")
    assert f"| parameters | {num_parameters(config):,} |" in card
    assert f"{4 * num_parameters(config) / 1e6:.0f} MB" in card
