"""TensorBoard: every number of every record, nothing twice after a resume, and a sentence where it is missing."""

import sys
import types

import pytest

from minigpt import StepMetrics, UserError
from minigpt.training.progress import tensorboard


def records(first: int = 1, last: int = 3):
    for step in range(first, last + 1):
        numbers = {"loss": 5.0 - step, "learning_rate": 0.1, "gradient_norm": 1.0, "seconds": float(step)}
        evaluated = {"validation_loss": 2.5, "best": True, "sample": "To be"} if step == 2 else {}
        yield StepMetrics(step=step, tokens_per_second=9.0, peak_memory_mb=1.0, **numbers, **evaluated)


@pytest.fixture
def written(monkeypatch) -> list[tuple]:
    """What a stand-in for TensorBoard's writer is told."""
    calls = []

    class Writer:
        def __init__(self, folder, purge_step):
            calls.append(("open", folder, purge_step))

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def add_text(self, name, value, step):
            calls.append((name, value, step))

        def close(self):
            calls.append(("close",))

    module = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return calls


def test_every_number_is_written_and_every_record_yielded_on(written, tmp_path):
    assert list(tensorboard(records(), tmp_path)) == list(records())
    assert written[0] == ("open", str(tmp_path), 1) and written[-1] == ("close",)
    assert [call[1:] for call in written if call[0] == "loss"] == [(4.0, 1), (3.0, 2), (2.0, 3)]
    assert ("validation_loss", 2.5, 2) in written and ("sample", "To be", 2) in written
    names = {call[0] for call in written[1:-1]}
    assert names == {
        *("loss", "learning_rate", "gradient_norm", "seconds", "tokens_per_second", "peak_memory_mb"),
        *("validation_loss", "sample"),
    }


def test_a_resumed_run_takes_back_what_is_run_again(written, tmp_path):
    list(tensorboard(records(2, 3), tmp_path))
    assert written[0] == ("open", str(tmp_path), 2)


def test_an_abandoned_run_closes_its_file(written, tmp_path):
    watched = tensorboard(records(), tmp_path)
    next(watched)
    watched.close()
    assert written[-1] == ("close",)


def test_a_run_of_no_steps_writes_nothing(written, tmp_path):
    assert list(tensorboard(records(1, 0), tmp_path)) == []
    assert not written


def test_a_missing_package_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="TensorBoard is not installed; run pip install tensorboard, or leave it out"):
        tensorboard(records(), tmp_path)


def test_the_real_one_can_read_it(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    list(tensorboard(records(), tmp_path))
    list(tensorboard(records(2, 4), tmp_path))  # killed after step 3, resumed from step 1
    found = events.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]
