"""A training process is killed again and again, at moments that nobody chose, and its run comes out the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from comparing import identical
from minigpt import checkpoint, cli, read_run
from tests.faults.processes import finish, start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix can fork")

KILLS = 20
NOT_COMPARED = ("seconds", "tokens_per_second", "peak_memory_mb", "memory_mb", "cpu_percent")
PRESET = """{
  "model": {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8, "dropout": 0.1},
  "training": {"max_steps": 60, "batch_size": 4, "grad_accum_steps": 3, "eval_every": 7, "eval_sequences": 4,
               "save_every": 5, "sample_every": 20, "sample_tokens": 5, "warmup_steps": 10}
}"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute here with one thread, as forks have to: sums over two threads are other sums in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def arguments(tmp_path, text) -> list[str]:
    """A small training run; every process reads its text and its preset from the disk."""
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "nano.json").write_text(PRESET)
    text_file = str(tmp_path / "text.txt")
    return ["train", "--preset", str(tmp_path / "nano.json"), "--text", text_file, "--device", "cpu"]


def command(arguments: list[str]) -> None:
    """Run the command as if it had been typed."""
    sys.argv = ["minigpt", *arguments]
    cli.main()


def run_here(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Run the command in this process."""
    monkeypatch.setattr(sys, "argv", ["minigpt", *arguments])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert not exit.value.code


def everything(run: Path) -> tuple:
    """Return what a run has left, without what is measured by the clock."""
    records = [vars(record) for record in read_run(run / "log.jsonl").records]
    records = [{name: value for name, value in record.items() if name not in NOT_COMPARED} for record in records]
    weights = [checkpoint.load(run / name).model.state_dict() for name in ("best", "last")]
    state = checkpoint.read_trainer_state(run / "last")
    del state["seconds"]
    return records, weights, state, sorted(path.name for path in run.iterdir())


@pytest.mark.slow
def test_a_run_killed_twenty_times_equals_the_run_that_was_left_alone(arguments, tmp_path, monkeypatch):
    output = tmp_path / "output.txt"
    for name in ("warm", "alone"):  # the first run here, so that a fork finds everything imported
        began = time.monotonic()
        run_here(monkeypatch, [*arguments, "--out", str(tmp_path / name)])
        seconds = time.monotonic() - began
    expected = everything(tmp_path / "alone")
    assert len(expected[0]) == 60

    dice, kills, runs, steps = random.Random(), 0, 0, set()
    while kills < KILLS or runs == 0:
        run = tmp_path / f"killed{runs}"
        while True:
            resume = ["--resume"] if (run / "log.jsonl").exists() else []
            moment = dice.uniform(0, 0.6 * seconds) if kills < KILLS else 60.0
            code = finish(start(partial(command, [*arguments, "--out", str(run), *resume]), output), within=moment)
            if code == 0:
                break
            assert code == -signal.SIGKILL, f"killed after {kills} kills at {moment:.3f} s:\n{output.read_text()}"
            kills += 1
            if (run / "log.jsonl").exists():
                steps.add(len(read_run(run / "log.jsonl").records))
        runs += 1
        assert identical(everything(run), expected), (
            f"run {runs} is another one, after {kills} kills at {sorted(steps)}"
        )
    assert len(steps) > 3, f"the kills fell too close together: after steps {sorted(steps)}"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_process_of_its_own_is_stopped_and_goes_on(arguments, tmp_path, monkeypatch, number, code):
    """The whole way once for each signal: a new interpreter, the command, the signal, and the resumed run."""
    command = [sys.executable, "-m", "minigpt", *arguments, "--out", str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        log = tmp_path / "run" / "log.jsonl"
        while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 3):
            time.sleep(0.001)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said.decode()
    saved = checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"]
    if number != signal.SIGKILL:
        assert f"Stopped after step {saved} and saved" in said.decode()
        assert saved == read_run(log).records[-1].step
    for name, options in (("run", ["--resume"]), ("alone", [])):
        run_here(monkeypatch, [*arguments, "--out", str(tmp_path / name), *options])
    assert identical(everything(tmp_path / "run"), everything(tmp_path / "alone"))
