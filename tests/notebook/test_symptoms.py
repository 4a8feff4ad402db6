"""Every cause is produced on purpose, by a real training that is broken in just this way, and recognised."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

import minigpt.training.trainer
from minigpt import (
    GPT,
    CharTokenizer,
    GPTConfig,
    RunLog,
    Split,
    StepMetrics,
    TrainConfig,
    Trainer,
    UserError,
    asset_path,
    get_batch,
    load_corpus,
    split_text,
)
from minigpt.model.attention import CausalSelfAttention
from minigpt.notebook import check_run
from minigpt.notebook.check_run.reference import ReferenceBand, make_reference_band, read_reference_band

pytestmark = pytest.mark.slow  # each trains a model
CORPUS = "shakespeare-plays"
SETTINGS = f"results/reference_bands/clinic-{CORPUS}.json"  # a model that trains in seconds


@pytest.fixture(scope="module")
def reference_band() -> ReferenceBand:
    return read_reference_band(asset_path(SETTINGS))


@pytest.fixture(scope="module")
def plays() -> Split:
    try:
        text = load_corpus(CORPUS).text
    except UserError as error:
        pytest.skip(str(error))
    return split_text(text, CharTokenizer.from_text(text))


@pytest.fixture
def train(reference_band, plays):
    """Train the setting of the reference runs with another seed, and with something changed."""

    def run(data: Split = plays, factories: dict | None = None, seed: int = 7, **changes) -> RunLog:
        training = TrainConfig.from_dict(reference_band.training).replace(seed=seed, **changes)
        torch.manual_seed(seed)
        model = GPT(GPTConfig.from_dict(reference_band.model), **(factories or {}))
        records = list(Trainer(model, data, training, device="cpu").run())
        header = {"model": reference_band.model, "training": training.to_dict(), "corpus": {"name": CORPUS}}
        return RunLog(header, records)

    return run


def without_rates(run: RunLog, reference_band: ReferenceBand) -> list[StepMetrics]:
    """Return the records as if the log did not know which learning rate the optimizer really had."""
    ends, rates = reference_band.steps, reference_band.bands["learning_rate"].mean
    return [
        replace(r, learning_rate=rates[next(i for i, end in enumerate(ends) if r.step <= end)]) for r in run.records
    ]


def first_cause(run: RunLog | list[StepMetrics], reference_band: ReferenceBand) -> str:
    checkup = check_run(run, reference_band=reference_band)
    assert checkup.normal is False
    return checkup.causes[0].name


def test_another_seed_is_normal(train):
    checkup = check_run(train())
    assert checkup.normal and not checkup.causes
    assert str(checkup).startswith("Normal: the run stays within the band of 3 reference runs")


def test_a_learning_rate_that_is_too_high(train, reference_band):
    run = train(learning_rate=0.05)
    assert first_cause(run, reference_band) == "the learning rate is too high"
    assert first_cause(without_rates(run, reference_band), reference_band) == "the learning rate is too high"
    assert "learning_rate = 0.05 (theirs: 0.005)" in str(check_run(run))


def test_a_learning_rate_that_is_too_low(train, reference_band):
    run = train(learning_rate=0.0005)
    assert first_cause(run, reference_band) == "the learning rate is too low"
    assert first_cause(without_rates(run, reference_band), reference_band) == "the learning rate is too low"


def test_a_missing_causal_mask(train, reference_band):
    def attend_everywhere(q, k, v):
        return F.scaled_dot_product_attention(q, k, v), None

    def attention(config):
        return CausalSelfAttention(config.n_embd, config.n_head, config.bias, config.dropout, attend_everywhere)

    run = train(factories={"attention": attention})
    assert first_cause(run, reference_band) == "the causal mask is missing"
    assert "lower than new text allows" in str(check_run(run.records)), "it shows without reference runs, too"


def unshifted(*arguments):
    inputs, _ = get_batch(*arguments)
    return inputs, inputs


def test_targets_that_are_not_shifted_in_training(train, reference_band, monkeypatch):
    monkeypatch.setattr(minigpt.training.trainer, "get_batch", unshifted)
    assert first_cause(train(), reference_band) == "the targets are not shifted"


def test_targets_that_are_not_shifted_anywhere(train, reference_band, monkeypatch):
    def validate(trainer) -> float:
        with torch.no_grad():
            inputs, _ = get_batch(trainer.data.validation, 128, 16, torch.Generator().manual_seed(0))
            return F.cross_entropy(trainer.model.eval()(inputs).flatten(0, 1), inputs.flatten()).item()

    monkeypatch.setattr(minigpt.training.trainer, "get_batch", unshifted)
    monkeypatch.setattr(Trainer, "validate", validate)
    assert first_cause(train(), reference_band) == "the targets are not shifted"


def test_a_batch_that_is_too_small(train, reference_band):
    run = train(batch_size=2)
    assert first_cause(run, reference_band) == "the batch is too small"
    assert first_cause(without_rates(run, reference_band), reference_band) == "the batch is too small"


def test_too_little_text(train, reference_band, plays):
    run = train(data=Split(plays.train[:1000], plays.validation))
    assert first_cause(run, reference_band) == "there is too little text, and it is learnt by heart"


def test_an_evaluation_with_dropout_on(tokenizer, data):
    """On a text that is soon known, since dropout harms most where the model would be sure."""
    settings = TrainConfig(max_steps=150, batch_size=8, learning_rate=1e-2, warmup_steps=10, eval_every=15)
    sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 32}
    model_config = GPTConfig(**sizes, dropout=0.3)

    def train(seed: int, broken: bool = False) -> RunLog:
        training = settings.replace(seed=seed, eval_sequences=8)
        torch.manual_seed(seed)
        model = GPT(model_config)
        if broken:
            model.eval = model.train
        header = {"model": model_config.to_dict(), "training": training.to_dict(), "machine": {}}
        records = list(Trainer(model, data, training, device="cpu").run())
        return RunLog(header | {"corpus": {"name": "a sentence"}}, records)

    references = make_reference_band("dropout", [train(seed) for seed in (1, 2, 3)])
    assert check_run(train(4), reference_band=references).normal
    assert first_cause(train(6, broken=True), references) == "the evaluation runs with dropout on"
    without = model_config.replace(dropout=0.0)
    causes = check_run(train(6, broken=True), model=without, reference_band=references).causes
    assert all("dropout" not in cause.name for cause in causes), "a model without dropout cannot have this fault"
