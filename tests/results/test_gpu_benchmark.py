"""The runs on a GPU, in miniature on a CPU: all parts in one call, saved as they go, and gone on with."""

import json
from types import ModuleType

import pytest

from minigpt import GPTConfig, read_run
from minigpt.config import TrainConfig

PARTS = ["memorise", "foundation", "throughput", "attention"]


@pytest.fixture
def gpu(monkeypatch) -> ModuleType:
    from experiments.gpu import run

    return run


@pytest.fixture
def call(gpu, tmp_path):
    """Run the benchmark and return what the record holds of each part."""

    def call(*arguments: str) -> dict:
        gpu.main(["--tiny", "--device", "cpu", "--out", str(tmp_path), "--work", str(tmp_path / "work"), *arguments])
        return json.loads((tmp_path / "gpu.json").read_text("utf-8"))["parts"]

    return call


def test_one_call_does_it_all_and_another_does_nothing(call, tmp_path):
    parts = call()
    assert list(parts) == PARTS and {part["status"] for part in parts.values()} == {"done"}
    assert all({"date", "processor", "torch", "commit"} <= part["machine"].keys() for part in parts.values())
    for name in PARTS[:2]:
        part = parts[name]
        model, training = GPTConfig.from_dict(part["model"]), TrainConfig.from_dict(part["training"])
        run = read_run(tmp_path / f"gpu-{name}.jsonl")
        assert run.header["model"] == model.to_dict() and run.header["training"] == training.to_dict()
        assert run.header["corpus"]["sha256"] == part["corpus"]["sha256"] and run.header["kept_every"] == 10
        assert part["steps"] == read_run(tmp_path / "work" / name / "log.jsonl").records[-1].step
        assert part["tokens_per_second"] > 0 and 0 < part["utilisation"]["measured"] < 1
    assert parts["memorise"]["training_loss"] < 3.3, "the mean of some steps has reached the target"
    assert parts["memorise"]["steps"] < parts["memorise"]["training"]["max_steps"]
    assert list(parts["foundation"]["voices"]) == ["verse", "code", "prose"]
    assert all(voice["bits_per_byte"] > 0 for voice in parts["foundation"]["voices"].values())
    speeds = parts["throughput"]["rows"]
    assert len(speeds) == 4 and all(row["tokens_per_second"] > 0 for row in speeds)
    kernels = {(row["context"], row["kernel"]): row for row in parts["attention"]["rows"]}
    assert len(kernels) == 10 and kernels[16, "naive"]["milliseconds"] > 0
    assert "failed" in kernels[8, "cudnn"], "a kernel that is not there is recorded as such"
    assert call() == parts


def test_a_part_out_of_time_is_gone_on_with(call):
    shorter = ("--only", "memorise", "attention", "--minutes", "memorise=0", "attention=0")
    parts = call(*shorter)
    assert list(parts) == ["memorise", "attention"]
    assert {part["status"] for part in parts.values()} == {"out of time"}
    assert parts["memorise"]["steps"] == 1 and "rows" not in parts["attention"]
    assert call(*shorter)["memorise"]["steps"] == 2, "every call gets somewhere"
    parts = call("--only", "memorise", "attention")
    assert {part["status"] for part in parts.values()} == {"done"} and len(parts["attention"]["rows"]) == 10


def test_a_part_that_fails_leaves_the_others_alone(call, gpu, monkeypatch, capsys):
    def broken(part) -> None:
        raise MemoryError("the GPU is on fire")

    monkeypatch.setitem(gpu.PARTS, "memorise", broken)
    parts = call("--only", "memorise", "attention")
    assert parts["memorise"]["reason"] == "MemoryError: the GPU is on fire" and parts["attention"]["status"] == "done"
    assert "memorise: failed after" in capsys.readouterr().out


def test_full_size_is_what_the_book_says(gpu):
    sizes = gpu.FULL
    assert (sizes.target, sizes.timed.block_size, sizes.compiled) == (0.1, 1024, (False, True))
    assert sizes.memorise[0] == {"block_size": 128}


@pytest.mark.parametrize(
    ("given", "sentence"), [("memorise", "is not NAME=MINUTES"), ("coffee=3", "names no part; the parts are memorise")]
)
def test_minutes_that_mean_nothing_are_named(call, given, sentence):
    with pytest.raises(SystemExit, match=sentence):
        call("--minutes", given)
