"""The ablations: every variant is one change, and what is drawn from a run is what happened in it."""

import json

import pytest
import torch

from experiments import ablations
from experiments.common import main
from minigpt import StepMetrics

SETTINGS = {"steps": 2, "seed": 1, "tiny": True}


def evaluation(step: int, loss: float) -> StepMetrics:
    figures = {"learning_rate": 0.1, "gradient_norm": 1.0, "seconds": 1.0, "tokens_per_second": 1.0}
    return StepMetrics(step=step, loss=loss, peak_memory_mb=1.0, validation_loss=loss, **figures)


def test_steps_to_a_loss_lie_on_the_line_between_two_evaluations():
    curve = [evaluation(50, 3.0), evaluation(100, 2.4), evaluation(150, 2.0), evaluation(200, 2.2)]
    assert ablations.steps_to(2.1, curve) == 137.5
    assert ablations.steps_to(2.4, curve) == 100
    assert ablations.steps_to(1.9, curve) is None


def test_a_run_that_never_arrives_leaves_no_mean():
    runs = [
        {"validation_loss": loss, "steps_to_target": steps} for loss, steps in ((1.0, 10.0), (2.0, 20.0), (3.0, None))
    ]
    entry = {"runs": dict(enumerate(runs))}
    ablations.summarise(entry)
    assert entry["validation_loss"] == {"mean": 2.0, "deviation": 1.0}
    assert entry["steps_to_target"] is None
    entry["runs"].pop(2)
    ablations.summarise(entry)
    assert entry["steps_to_target"]["mean"] == 15


@pytest.mark.parametrize("name", ablations.VARIANTS)
def test_a_variant_is_the_baseline_but_for_its_changes(name):
    config, training = ablations.configs(name, SETTINGS)
    base, usual = ablations.configs("baseline", SETTINGS)
    changes = [
        (field, value)
        for mine, theirs in ((config, base), (training, usual))
        for field, value in mine.to_dict().items()
        if value != theirs.to_dict()[field]
    ]
    assert dict(changes) == ablations.VARIANTS[name][0] | ablations.VARIANTS[name][1]
    assert (len(changes) == 1) == (name not in ("baseline", "together"))


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Run the ablations in miniature, and return their summary."""
    monkeypatch.setattr(ablations, "milliseconds_a_step", lambda *arguments: dict.fromkeys(ablations.VARIANTS, 1.0))
    threads = torch.get_num_threads()
    out = tmp_path / "results" / "summary.json"

    def run(*arguments: str) -> dict:
        shared = ["--tiny", "--out", str(out), "--work", str(tmp_path / "work"), "--steps", "2"]
        ablations.add_times(main(ablations.EXPERIMENT, [*shared, *arguments]))
        return json.loads(out.read_text("utf-8"))

    yield run
    torch.set_num_threads(threads)


def test_a_second_call_goes_on_where_the_first_was_stopped(measure, tmp_path, capsys):
    first = measure("--seeds", "1", "--variants", "baseline", "gqa")["variants"]
    assert list(first["gqa"]["runs"]) == ["1"]
    capsys.readouterr()
    second = measure("--seeds", "1", "2", "--variants", "baseline", "muon")["variants"]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "seed 1, muon",
        "seed 2, baseline",
        "seed 2, muon",
    ]
    assert second["gqa"] == first["gqa"]
    assert second["baseline"]["runs"]["1"] == first["baseline"]["runs"]["1"]
    assert second["muon"]["memory_mb"]["optimizer"] < second["baseline"]["memory_mb"]["optimizer"]
    assert sorted(path.name for path in (tmp_path / "results").glob("*.jsonl")) == [
        "baseline-1.jsonl",
        "baseline-2.jsonl",
        "gqa-1.jsonl",
        "muon-1.jsonl",
        "muon-2.jsonl",
    ]
