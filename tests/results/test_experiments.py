"""What the experiments share: a kill costs nothing but time, jobs change nothing, and records say what they must."""

import importlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments import common, gates
from experiments import training as one_run
from experiments.common import Experiment, Record, grid, interval, main, run_id, student_t, write_record
from minigpt import Trainer, UserError
from minigpt.utils.files import read_json

ROOT = Path(__file__).parents[2]
NAMES = ["ablations", "characters_or_subwords", "gates", "modern_rival", "positions", "qk_norm", "scaling"]
NAMES += ["tied_weights", "toy_stories"]
TWO = ("--kind", "ReLU", "GELU", "--seeds", "1", "2")


@pytest.fixture(autouse=True)
def threads():
    """Leave the number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def measure(tmp_path):
    """Run an experiment in miniature, and return its record."""

    def run(*arguments: str, experiment: Experiment = gates.EXPERIMENT, name: str = "record") -> dict:
        places = ["--output", str(tmp_path / f"{name}.json"), "--work", str(tmp_path / f"work-{name}")]
        return read_json(main(experiment, ["--tiny", *places, *arguments]))

    return run


def lasting(record: dict) -> dict:
    """Return a record without what two calls may tell apart: their machine, which has a date."""
    return {name: value for name, value in record.items() if name != "machine"}


# The grid and the names of the runs.

values = st.lists(st.integers() | st.text("ab ,²", max_size=3), min_size=1, max_size=3, unique=True)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), values, min_size=1))
def test_a_grid_has_every_combination_once(varied):
    cells = grid(**varied)
    assert [tuple(cell.values()) for cell in cells] == list(itertools.product(*varied.values()))
    assert all(cell.keys() == varied.keys() for cell in cells)
    assert len({run_id(cell) for cell in cells}) == len(cells)


@given(st.dictionaries(st.sampled_from(["rate", "kind", "seed"]), st.integers() | st.text(max_size=100), min_size=1))
def test_the_name_of_a_run_is_that_of_a_folder_and_knows_no_order(settings):
    name = run_id(settings)
    assert name == run_id(dict(reversed(settings.items())))
    assert len(name) < 80 and not set(name) & set('/\\: "')


# Means and intervals.


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12), st.floats(-100, 100))
def test_an_interval_moves_with_its_values_and_grows_with_their_spread(numbers, shift):
    found, moved = interval(numbers), interval([number + shift for number in numbers])
    wider = interval([2 * number for number in numbers])
    assert moved["mean"] == pytest.approx(found["mean"] + shift, abs=1e-3)
    assert moved["interval"] == pytest.approx(found["interval"], abs=1e-3)
    assert wider["interval"] == pytest.approx(2 * found["interval"], abs=1e-3)
    assert found["n"] == len(numbers)


def test_the_quantiles_are_those_of_the_tables():
    known = {2: 12.706, 3: 4.303, 10: 2.262, 11: 2.228, 21: 2.086, 31: 2.042, 121: 1.980}
    assert {n: student_t(n) for n in known} == pytest.approx(known, abs=0.003)
    assert interval([1.0]) == {"mean": 1.0, "interval": None, "n": 1}


def test_nineteen_intervals_of_twenty_hold_the_mean():
    generator = torch.Generator().manual_seed(1)
    draws = torch.randn(2000, 4, generator=generator).tolist()
    held = [abs(found["mean"]) <= found["interval"] for found in map(interval, draws)]
    assert statistics.mean(held) == pytest.approx(0.95, abs=0.015)


def test_differences_are_taken_seed_by_seed_and_only_where_both_have_one(measure):
    record = measure(*TWO)
    measure("--kind", "GELU", "--seeds", "3")
    finals = {kind: {seed: run["final"] for seed, run in runs.items()} for kind, runs in record["runs"].items()}
    differences = [finals["ReLU"][seed] - finals["GELU"][seed] for seed in ("1", "2")]
    found = measure("--kind", "ReLU", "--seeds", "4")["summary"]
    assert found["GELU"]["final"]["n"] == 3 and found["ReLU"]["final"]["n"] == 3
    assert found["ReLU"]["final minus that of GELU"] == interval(differences)
    assert "final minus that of GELU" not in found["GELU"]


# Runs that are stopped, and several at a time.


class PowerCutError(BaseException):
    """What nobody catches."""


@pytest.mark.parametrize("step", [0, 1, 7, 19])
def test_a_run_that_breaks_off_gives_the_record_of_one_that_did_not(measure, monkeypatch, step):
    both = ("--kind", "ReLU", "--seeds", "1", "2")
    whole = measure(*both, name="whole")
    one_step = Trainer.train_step

    def until_the_cut(trainer: Trainer) -> tuple[float, float, float]:
        if (trainer.step, trainer.config.seed) == (step, 2):
            raise PowerCutError
        return one_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", until_the_cut)
    with pytest.raises(PowerCutError):
        measure(*both)
    monkeypatch.undo()
    taken = []
    monkeypatch.setattr(Trainer, "train_step", lambda trainer: taken.append(trainer.step) or one_step(trainer))
    assert lasting(measure(*both)) == lasting(whole)
    assert taken[0] == 2 * (step // 2), "it goes on from its last checkpoint, and the run before it is over"


def test_what_was_seen_on_the_way_outlives_a_break(measure, monkeypatch):
    from experiments import toy_stories

    chosen = {"experiment": toy_stories.EXPERIMENT}
    whole = measure("--seeds", "1", "--n-embd", "32", "--n-layer", "1", name="whole", **chosen)
    look, looks = toy_stories.nats_per_story, []

    def until_the_cut(*arguments) -> float:
        looks.append(1)
        if len(looks) == 6:
            raise PowerCutError
        return look(*arguments)

    monkeypatch.setattr(toy_stories, "nats_per_story", until_the_cut)
    with pytest.raises(PowerCutError):
        measure("--seeds", "1", "--n-embd", "32", "--n-layer", "1", **chosen)
    again = measure("--seeds", "1", "--n-embd", "32", "--n-layer", "1", **chosen)
    assert again["runs"][0] | {"seconds": 0} == whole["runs"][0] | {"seconds": 0}
    assert len(looks) < 6 + len(whole["runs"][0]["curve"]), "it did not begin anew"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills in another way")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_call_that_is_killed_gives_the_record_of_one_that_was_not(measure, tmp_path, jobs):
    long = ("--kind", "ReLU", "--seeds", "1", "2", "--steps", "100")
    whole = measure(*long, name="whole")
    out, work = tmp_path / "record.json", tmp_path / "work"
    command = [sys.executable, "-m", "experiments.gates", "--tiny", "--output", str(out), "--work", str(work)]
    command += [*long, "--jobs", jobs]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(work.glob("*/best")):  # a run is under way
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = {
        folder: (folder / "log.jsonl").stat().st_size for folder in work.glob("*") if (folder / "log.jsonl").exists()
    }
    for _ in range(100):  # the processes of the runs end by themselves
        time.sleep(0.1)
        now = {folder: (folder / "log.jsonl").stat().st_size for folder in begun}
        if now == begun:
            break
        begun = now
    assert not out.exists() or len(read_json(out)["runs"]["ReLU"]) < 2, "it came to its end before the kill"
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert lasting(read_json(out)) == lasting(whole)
    assert (
        out.read_text("utf-8").split('"machine"')[0]
        == (tmp_path / "whole.json").read_text("utf-8").split('"machine"')[0]
    )
    assert not list(work.glob("*/")), "what is in the record needs no folder any more"


@pytest.mark.slow
def test_two_jobs_give_the_record_of_one(measure):
    assert lasting(measure(*TWO, "--jobs", "2", name="two")) == lasting(measure(*TWO, name="one"))


@pytest.mark.slow
def test_a_run_that_fails_in_its_process_is_named(measure, tmp_path, capfd):
    folder = tmp_path / "work-record" / run_id({"kind": "ReLU", "seed": 1, "steps": 20, "tiny": True})
    folder.mkdir(parents=True)
    (folder / "log.jsonl").touch()
    with pytest.raises(UserError, match="The run in .*ReLU-1-20.* has failed with status 1"):
        measure("--kind", "ReLU", "--seeds", "1", "--jobs", "2")
    assert "holds no run to go on with" in capfd.readouterr().err


def test_a_run_in_the_record_is_not_taken_again(measure, monkeypatch, capsys):
    first = measure("--kind", "ReLU", "--seeds", "2")
    capsys.readouterr()
    second = measure("--kind", "ReLU", "GELU", "--seeds", "1", "2")
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "seed 1, ReLU",
        "seed 1, GELU",
        "seed 2, GELU",
    ]
    assert second["runs"]["ReLU"]["2"] == first["runs"]["ReLU"]["2"]
    monkeypatch.setattr(gates, "train", None)
    assert measure("--kind", "ReLU", "GELU", "--seeds", "1", "2") == second


def test_runs_of_different_settings_are_not_mixed(measure):
    measure("--kind", "ReLU", "--seeds", "1")
    with pytest.raises(UserError, match=r"settings.max_steps = 20, not 10; choose another file with --output"):
        measure("--kind", "ReLU", "--seeds", "2", "--steps", "10")


def test_a_folder_with_another_run_is_named(tmp_path):
    tokenizer, data = one_run.read_characters("tinyshakespeare", True)
    config, training = gates.model_of(True), gates.training_of({"steps": 2, "tiny": True})
    one_run.train(tmp_path, config, training, data, tokenizer)
    for other in ((config.replace(n_layer=2), training), (config, training.replace(learning_rate=1e-2))):
        with pytest.raises(UserError, match="holds a run with other settings; delete it"):
            one_run.train(tmp_path, *other, data, tokenizer)


# The record.


@pytest.mark.parametrize("name", [*NAMES, "tiny_modern"])
def test_a_miniature_of_each_fills_its_record(name, measure, tmp_path):
    experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
    seeds = ("--seeds", "1", "2") if experiment.seeds else ()
    field, order = next(iter(experiment.values.items()))
    few = [str(value) for value in order[:2]]
    record = measure(f"--{field.replace('_', '-')}", *few, *seeds, experiment=experiment)
    assert {"date", "processor", "threads", "python", "torch", "commit"} <= record["machine"].keys()
    assert record["machine"]["threads"] == 1
    assert {"settings", "training"} & record.keys(), "how it was trained"
    flags = experiment.flags | experiment.tiny | {"tiny": True}
    chosen = [cell for cell in experiment.varied if str(cell[field]) in few]
    book = Record(tmp_path / "record.json", experiment, flags)
    for cell in chosen:
        runs = book.by_seed(cell | flags)
        assert list(runs) == (["1", "2"] if seeds else [""])
    if experiment.metrics:
        assert len(record["summary"]) == len(chosen)
        for found in record["summary"].values():
            assert all(entry["n"] <= 2 and "interval" in entry for entry in found.values())
        assert any("minus that of" in metric for found in record["summary"].values() for metric in found)


@pytest.mark.parametrize("name", NAMES)
def test_every_run_is_found_in_the_record_that_stands_in_results(name):
    experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
    record = Record(ROOT / "results" / experiment.record, experiment, {"tiny": False})
    flags = {**experiment.flags, **({"steps": 400} if name == "tied_weights" else {})}
    for cell in experiment.varied:
        for seed in experiment.seeds[:1] or [None]:
            assert record.get(cell | flags | ({"seed": seed} if seed is not None else {})), (cell, seed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("record") / "record.json"
    write_record(path, content)
    assert json.loads(path.read_text("utf-8")) == content


def test_lists_of_numbers_stand_on_one_line(tmp_path):
    write_record(tmp_path / "r.json", {"curve": [[1, 2.5], [2, None]], "words": ["a [ 1, 2 ]", "b"]})
    assert (tmp_path / "r.json").read_text("utf-8").splitlines()[1:5] == [
        ' "curve": [',
        "  [1, 2.5],",
        "  [2, null]",
        " ],",
    ]


def test_a_miniature_never_writes_among_the_results(monkeypatch, tmp_path):
    monkeypatch.setattr(common, "RUNS", tmp_path)
    path = main(gates.EXPERIMENT, ["--tiny", "--kind", "ReLU", "--seeds", "1", "--steps", "2"])
    assert path == tmp_path / "tiny" / "gates.json" and path.exists()
