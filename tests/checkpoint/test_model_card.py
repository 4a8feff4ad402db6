"""A card says what the configuration and the record say, and no more."""

import pytest

from minigpt import BPETokenizer, RunLog, StepMetrics, UserError, asset_path, count_parameters, read_run
from minigpt.checkpoint.hub import _fenced, model_card
from minigpt.checkpoint.save_load import load


def record(step: int, **changes) -> StepMetrics:
    values = {"step": step, "loss": 2.0, "learning_rate": 1e-3, "gradient_norm": 1.0, "seconds": 60.0 * step}
    return StepMetrics(**values, tokens_per_second=1e3, peak_memory_mb=100.0, **changes)


@pytest.fixture
def run(model) -> RunLog:
    header = {"model": model.config.to_dict(), "training": {"batch_size": 4, "sample_prompt": "a small"}}
    header["machine"] = {"processor": "an abacus", "date": "2026-01-02"}
    return RunLog(
        header, [record(1), record(2, validation_loss=1.25), record(3, validation_loss=1.5, sample="a big\n")]
    )


def test_without_a_record_only_the_sizes_are_told(model, tokenizer):
    card = model_card(model, tokenizer, "ada/small")
    assert card.startswith("---\nlibrary_name: minigpt-book\n") and "\n# small\n" in card
    assert f"| parameters | {count_parameters(model):,}, " in card
    assert f"| vocabulary | {tokenizer.vocab_size} characters |" in card
    assert "from_pretrained('ada/small')" in card
    assert "trained on" not in card and "it wrote" not in card


def test_subwords_are_called_so(make_model):
    tokenizer = BPETokenizer.train("a small text, and a small one", 260)
    assert "| vocabulary | 260 subwords |" in model_card(make_model(vocab_size=260), tokenizer, "x")


def test_a_record_tells_of_the_training(model, tokenizer, run):
    card = model_card(model, tokenizer, "small", run)
    assert f"| trained on | a text of its own, 3 steps, {3 * 4 * 8} tokens |" in card
    assert "on an abacus, 2026-01-02 |" in card
    assert "| lowest validation loss | 1.2500 nats per token, after 2 steps |" in card
    assert "generate(model, tokenizer, 'a small', " in card
    assert card.endswith("At the end of its training it wrote:\n\n```text\na big\n```\n")


def test_an_evaluation_of_the_whole_takes_the_place_of_those_in_training(model, tokenizer, run):
    run.header["evaluation"] = {"loss": 1.0, "n_tokens": 10, "n_characters": 20}
    card = model_card(model, tokenizer, "small", run)
    assert "| loss, whole validation part | 1.0000 nats per token |" in card
    assert "| bits per character | 0.721 |" in card and "lowest validation loss" not in card


def test_a_run_that_was_never_evaluated_has_a_card_too(model, tokenizer, run):
    empty = RunLog(run.header, [])
    assert "trained on" not in model_card(model, tokenizer, "small", empty)
    assert "validation" not in model_card(model, tokenizer, "small", RunLog(run.header, [record(1)]))


def test_the_record_of_another_model_is_refused(make_model, tokenizer, run):
    with pytest.raises(UserError, match="describes a model of another shape"):
        model_card(make_model(n_layer=3), tokenizer, "small", run)


def test_a_component_of_ones_own_is_named(make_model, tokenizer):
    model = make_model()
    model.custom_components = ["norm"]
    card = model_card(model, tokenizer, "small")
    assert "Its norm is not the package's" in card and "from_pretrained('small', norm=…)" in card


def test_no_sample_can_end_the_block_that_it_stands_in():
    assert _fenced("a") == "```text\na\n```"
    assert _fenced("a ```` b") == "`````text\na ```` b\n`````"


def test_a_shipped_model_has_its_record_on_the_card():
    model, tokenizer = load(asset_path("checkpoints/medium"))
    card = model_card(model, tokenizer, "medium", read_run(asset_path("results/medium.jsonl")))
    assert "| trained on | foundation, 4,000 steps" in card and "| bits per character | 1.740 |" in card
