"""When a run is over, and when its loss is ruined."""

import math

import pytest

from minigpt import TrainConfig
from minigpt.training.trainer import has_diverged, stop_reasons

PLAIN = TrainConfig(max_steps=10)


def test_a_run_goes_on_until_all_steps_are_taken():
    assert stop_reasons(PLAIN, 9, 0.001, 99) == {}
    assert stop_reasons(PLAIN, 10, 1.0, 0) == {"max_steps": "all 10 steps are taken"}
    assert stop_reasons(PLAIN, 11, 1.0, 0) == {"max_steps": "all 10 steps are taken"}


def test_a_target_is_reached_from_above():
    config = PLAIN.replace(target_loss=1.5)
    expected = {"target_loss": "the validation loss of 1.5000 has reached the target of 1.5"}
    assert stop_reasons(config, 3, 1.5001, 0) == {}
    assert stop_reasons(config, 3, 1.5, 0) == expected
    assert stop_reasons(config, 0, math.inf, 0) == {}


def test_patience_counts_evaluations_without_a_new_best():
    config = PLAIN.replace(patience=2)
    assert stop_reasons(config, 3, 1.0, 1) == {}
    expected = {"patience": "2 evaluations in a row brought no lower validation loss than 1.0000"}
    assert stop_reasons(config, 3, 1.0, 2) == expected
    assert stop_reasons(config.replace(patience=1), 3, 1.0, 1)["patience"].startswith("1 evaluation in a row")


def test_every_limit_that_is_reached_is_named():
    config = PLAIN.replace(target_loss=1.5, patience=2)
    assert list(stop_reasons(config, 10, 1.0, 2)) == ["target_loss", "patience", "max_steps"]


@pytest.mark.parametrize("numbers", [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_what_is_no_number_is_ruined(numbers):
    assert has_diverged(*numbers, first_loss=4.0, vocab_size=65)


def test_a_loss_far_above_an_untrained_models_is_ruined():
    uniform = math.log(65)
    assert not has_diverged(2.9 * uniform, 1.0, first_loss=uniform, vocab_size=65)
    assert has_diverged(3.1 * uniform, 1.0, first_loss=uniform, vocab_size=65)
    assert has_diverged(3.1 * uniform, 1.0, first_loss=0.5, vocab_size=65), "a trained model that is trained further"
    assert not has_diverged(20.0, 1.0, first_loss=20.0, vocab_size=65), "a bad start may still come to good"
    assert not has_diverged(0.0, 0.0, first_loss=0.0, vocab_size=1)
