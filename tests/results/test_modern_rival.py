"""Tiny's architecture and its rival: of one size, on the same windows; what is recorded is not run again."""

import json

import pytest
import torch

from experiments import modern_rival
from experiments.common import main
from minigpt import GPT, UserError, asset_path, count_parameters


def test_the_rival_is_as_large_as_tiny_to_one_per_cent():
    tiny, rival = (count_parameters(GPT(config)) for config in (modern_rival.TINY, modern_rival.RIVAL))
    assert 0.99 * tiny < rival <= tiny


@pytest.fixture
def measure(tmp_path):
    """Run two of the four in miniature, and return the record."""
    threads = torch.get_num_threads()
    out = tmp_path / "record.json"

    def run(*arguments: str) -> dict:
        chosen = ["--model", "Tiny, AdamW", "rival, Muon", "--work", str(tmp_path / "work"), "--out", str(out)]
        main(modern_rival.EXPERIMENT, ["--tiny", *chosen, *arguments])
        return json.loads(out.read_text("utf-8"))

    yield run
    torch.set_num_threads(threads)


def test_a_second_call_adds_to_the_record_and_repeats_nothing(measure, capsys):
    first = measure("--seeds", "1")
    run = first["runs"]["rival, Muon"]["1"]
    assert [step for step, _, _ in run["curve"]] == [2, 3] and len(run["training_loss"]) == 3
    assert run["curve"][-1][2] == pytest.approx(run["seconds"], abs=0.1)
    assert first["models"]["rival, Muon"]["config"]["position"] == "rope"
    capsys.readouterr()
    second = measure("--seeds", "1", "2")
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "seed 2, Tiny, AdamW",
        "seed 2, rival, Muon",
    ]
    assert second["runs"]["rival, Muon"]["1"] == run


def test_the_record_is_complete_and_fair():
    try:
        record = json.loads(asset_path("results/modern-rival.json").read_text("utf-8"))
    except UserError:
        pytest.skip("the runs are not recorded yet")
    sizes = [entry["parameters"] for entry in record["models"].values()]
    assert max(sizes) / min(sizes) < 1.01
    assert record["runs"].keys() == record["models"].keys() == modern_rival.RUNS.keys()
    steps = record["settings"]["max_steps"]
    for by_seed in record["runs"].values():
        assert by_seed.keys() == record["runs"]["Tiny, AdamW"].keys() and by_seed
        for run in by_seed.values():
            assert run["curve"][-1][0] == len(run["training_loss"]) == steps
            assert 0 < run["whole_validation_loss"] < 4
