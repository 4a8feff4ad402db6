"""What can be said about a run without reference runs."""

import math

import pytest

from minigpt.notebook.check_run.symptoms import basic_checks
from tests.notebook.test_reference_bands import record


def signs(records, vocab_size=65) -> str:
    return "\n".join(basic_checks(records, vocab_size))


def falling(steps: int = 40, start: float = 4.2, **last) -> list:
    return [record(step, start - 0.05 * step) for step in range(1, steps)] + [
        record(steps, start - 0.05 * steps, **last)
    ]


def test_a_healthy_run_has_only_good_signs():
    found = signs(falling(validation_loss=2.3))
    assert "The first loss, 4.15, is near ln 65 = 4.17, as it should be." in found
    assert "The training loss falls" in found and "The gradient norm is calm" in found
    assert "minus the training loss is" in found and "leak" not in found


def test_the_start_is_compared_with_a_uniform_guess():
    assert "The first loss is 9.95 and should be near ln 65 = 4.17: look at the initialisation." in signs(
        falling(start=10)
    )
    assert "first loss" not in signs(falling(), vocab_size=None)
    assert "first loss" not in signs(falling()[1:]), "the first step is missing"


def test_a_loss_that_does_not_fall_is_named():
    assert "overfit one batch before anything else" in signs([record(step, 4.2) for step in range(1, 20)])


def test_a_jump_is_named():
    records = [*falling(), record(41, 9.15), record(42, 5.0)]
    assert "At step 41 the loss is 5.0 above where it started: lower the learning rate." in signs(records)


def test_learning_by_heart_is_named():
    records = [
        *falling()[:20],
        record(21, 1.0, 2.0),
        *(record(step, 0.5) for step in range(22, 40)),
        record(40, 0.5, 2.5),
    ]
    assert "was lowest at step 21: the model learns by heart" in signs(records)


def test_growing_gradients_are_named():
    records = [record(step, 4.2 - 0.05 * step, gradient_norm=math.exp(step / 8)) for step in range(1, 41)]
    assert "the run may blow up" in signs(records)


def test_a_loss_that_no_text_allows_is_named():
    assert "At step 40 the validation loss is 0.10, lower than new text allows" in signs(falling(validation_loss=0.1))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_the_shortest_run_is_no_error(steps):
    assert "no validation loss yet" in signs(falling()[:steps])
