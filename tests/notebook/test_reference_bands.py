"""An reference_band is the mean, the lowest and the highest of runs that differ in their seed."""

import json
import math
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import GPTConfig, RunLog, StepMetrics, TrainConfig, UserError, asset_path
from minigpt.notebook.check_run.reference import (
    QUANTITIES,
    TOLERANCE,
    Band,
    differences,
    find_reference_band,
    make_reference_band,
    noise_of,
    read_reference_band,
    shipped_reference_bands,
    summarise,
    validation_at,
)

MODEL = GPTConfig(vocab_size=65, block_size=8, n_layer=1, n_head=1, n_embd=8)
TRAINING = TrainConfig(max_steps=6, eval_every=3)
LOSSES = {1: [4.0, 3.0, 3.5, 2.0, 1.0, 1.2], 2: [4.2, 3.0, 3.3, 2.5, 1.5, 2.0], 3: [4.1, 3.3, 3.7, 2.0, 0.8, 0.8]}


def record(step: int, loss: float, validation_loss: float | None = None, gradient_norm: float = 1.0) -> StepMetrics:
    return StepMetrics(
        step=step,
        loss=loss,
        learning_rate=0.1 * step,
        gradient_norm=gradient_norm,
        seconds=1.0,
        tokens_per_second=1.0,
        peak_memory_mb=1.0,
        validation_loss=validation_loss,
    )


def run(seed: int, **header) -> RunLog:
    values = {
        "model": MODEL.to_dict(),
        "training": TRAINING.replace(seed=seed).to_dict(),
        "corpus": {"name": "a text", "sha256": "0"},
        "machine": {"date": "today"},
    }
    losses = LOSSES[seed]
    return RunLog(values | header, [record(i + 1, x, x + 0.5 if i % 3 == 2 else None) for i, x in enumerate(losses)])


@pytest.fixture
def reference_band():
    return make_reference_band("the test", [run(seed) for seed in LOSSES])


def test_the_band_holds_mean_lowest_and_highest(reference_band):
    assert reference_band.steps == [3, 6] and reference_band.seeds == [1, 2, 3]
    assert reference_band.bands["training_loss"] == Band([3.56667, 1.53333], [3.5, 1.2], [3.7, 2.0])
    assert reference_band.bands["validation_loss"] == Band([4.0, 1.83333], [3.8, 1.3], [4.2, 2.5])
    assert reference_band.bands["gap"] == Band([0.433333, 0.3], [0.3, 0.1], [0.5, 0.5])
    assert reference_band.bands["learning_rate"].mean == [0.2, 0.5]
    assert "seed" not in reference_band.training and reference_band.corpus["name"] == "a text"
    assert str(reference_band) == "3 reference runs (the test, a text, seeds 1, 2, 3)"


def test_the_room_does_not_trust_runs_that_agree_by_chance():
    band = Band([2.0, 2.0, 2.0], [1.9, 2.0, 1.5], [2.1, 2.0, 2.5])
    assert band.tolerance == pytest.approx([TOLERANCE * 0.2, TOLERANCE * 0.2, TOLERANCE * 1.0])


def test_a_reference_band_is_read_as_it_was_saved(tmp_path, reference_band):
    reference_band.save(tmp_path / "one.json")
    assert read_reference_band(tmp_path / "one.json") == reference_band
    assert json.loads((tmp_path / "one.json").read_text())["seeds"] == [1, 2, 3]


@pytest.mark.parametrize("change", [lambda v: v.pop("bands"), lambda v: v.update(more=1), lambda v: v["bands"].clear()])
def test_a_damaged_reference_band_is_named(tmp_path, reference_band, change):
    path = tmp_path / "one.json"
    reference_band.save(path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"one\.json is not a reference band"):
        read_reference_band(path)


def test_runs_that_differ_in_more_than_the_seed_have_no_reference_band():
    other = TRAINING.replace(seed=2, batch_size=1).to_dict()
    with pytest.raises(UserError, match="differ in more than their seed"):
        make_reference_band("the test", [run(1), run(2, training=other)])


def test_a_run_that_stopped_early_has_no_reference_band():
    short = run(2)
    del short.records[-1]
    with pytest.raises(UserError, match="run it to its end"):
        make_reference_band("the test", [run(1), short])
    with pytest.raises(UserError, match="at least one run"):
        make_reference_band("the test", [])


def test_an_interval_that_the_run_has_not_finished_is_unknown():
    summary = summarise(run(1).records[:5], [3, 6])
    assert summary["training_loss"] == [3.5, None] and summary["validation_loss"] == [4.0, None]
    assert set(summary) == set(QUANTITIES)
    assert summarise([], [2]) == {quantity: [None] for quantity in QUANTITIES}


def test_the_validation_loss_between_two_evaluations_lies_on_their_line():
    records = [record(1, 9.0, 4.0), record(2, 9.0), record(5, 9.0, 2.0)]
    assert [validation_at(step, records) for step in (1, 2, 3, 5)] == [4.0, 3.5, 3.0, 2.0]
    assert validation_at(6, records) is None and validation_at(1, records[1:]) is None


@given(st.floats(-0.1, 0.1), st.lists(st.floats(-1, 1), min_size=3, max_size=50))
def test_the_noise_does_not_feel_a_steady_fall(slope, noise):
    falling = [slope * place + value for place, value in enumerate(noise)]
    assert noise_of(falling) == pytest.approx(noise_of(noise), abs=1e-9)


def test_the_noise_of_independent_values_is_their_spread():
    import random

    values = [random.Random(0).gauss(0, 1)] + [random.Random(i).gauss(0, 1) for i in range(1, 4000)]
    assert noise_of(values) == pytest.approx(statistics.stdev(values), rel=0.05)
    assert noise_of([1.0, 2.0]) is None and not math.isnan(noise_of([1.0, 2.0, 3.0]))


def test_differences_name_what_matters_and_nothing_else(reference_band):
    model = MODEL.replace(dropout=0.1, attn_impl="naive")
    training = TRAINING.replace(learning_rate=0.5, seed=9, eval_every=1, sample_every=7, batch_size=2)
    assert differences(reference_band, model, training) == {
        "dropout": (0.1, 0.0),
        "learning_rate": (0.5, TRAINING.learning_rate),
        "batch_size": (2, TRAINING.batch_size),
    }
    assert differences(reference_band, None, None) == {}


SHIPPED = sorted(asset_path("results/reference_bands").glob("*.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_reference_band_is_found_by_its_setting(path: Path):
    reference_band = read_reference_band(path)
    model, training = GPTConfig.from_dict(reference_band.model), TrainConfig.from_dict(reference_band.training)
    assert find_reference_band(model, reference_band.corpus["name"], training) == reference_band
    assert find_reference_band(model.replace(dropout=0.5), reference_band.corpus["name"], training) == reference_band
    assert find_reference_band(model, "another text", training) is None
    assert (
        find_reference_band(model.replace(n_layer=model.n_layer + 1), reference_band.corpus["name"], training) is None
    )
    longer = training.replace(max_steps=training.max_steps + 1)
    assert find_reference_band(model, reference_band.corpus["name"], longer) is None


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_reference_band_has_three_seeds_and_a_band(path: Path):
    reference_band = read_reference_band(path)
    assert len(reference_band.seeds) == 3 and 1337 not in reference_band.seeds, (
        "a reader's run should be one more, not one of these"
    )
    for band in reference_band.bands.values():
        assert len(band.mean) == len(reference_band.steps)
        for low, mean, high in zip(band.lowest, band.mean, band.highest, strict=True):
            assert low <= mean <= high
    assert reference_band.machine["date"] and reference_band.corpus["sha256"]


def test_all_shipped_reference_bands_are_read():
    assert len(shipped_reference_bands()) == len(SHIPPED) > 0
