"""Several processes: together they take the steps that one takes alone, and what they leave can go on anywhere."""

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh
from torch.distributed.tensor.debug import CommDebugMode

from minigpt import GPT, GPTConfig, Trainer, UserError, checkpoint, read_run
from minigpt.training.distributed import process_group, wrap_model
from minigpt.training.muon import Muon
from minigpt.utils.signals import is_main_process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stand_in(rank: int, environment: dict[str, str], action: Callable, results: multiprocessing.Queue) -> None:
    os.environ |= environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    with process_group():
        try:
            results.put((rank, action()))
        except UserError as error:
            results.put((rank, error))


def in_processes(count: int, action: Callable) -> list:
    """Run an action in processes that have joined, as torchrun does, and return what each gave, by rank."""
    environment = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=stand_in, args=(rank, environment, action, results)) for rank in range(count)]
    for child in children:
        child.start()
    given = dict(results.get(timeout=60) for _ in children)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    return [given[rank] for rank in range(count)]


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix can fork")


@pytest.fixture
def make_trainer(tokenizer, data, train_config):
    def make(
        folder: Path | None = None,
        fsdp: bool = False,
        dropout: float = 0.0,
        tied: bool = False,
        modern: bool = False,
        **changes,
    ):
        torch.manual_seed(0)
        sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}
        parts = MODERN if modern else {}
        model = GPT(GPTConfig(**sizes, dropout=dropout, tie_weights=tied, **parts))
        settings = train_config.replace(optimizer="muon" if modern else "adamw", **changes)
        return Trainer(model, data, settings, tokenizer=tokenizer, folder=folder, device="cpu", fsdp=fsdp)

    return make


def losses(trainer: Trainer, steps: int | None = None) -> list[tuple[float, float, float | None]]:
    run = trainer.run()
    records = list(run) if steps is None else [next(run) for _ in range(steps)]
    return [(one.loss, one.gradient_norm, one.validation_loss or 0.0) for one in records]


def close(found: list, expected: list) -> bool:
    return all(one == pytest.approx(other, rel=1e-4) for one, other in zip(found, expected, strict=True))


MODERN = {"position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "qk_norm": True, "n_kv_head": 1}
WAYS = {
    "replicated": {},
    "in pieces": {"grad_accum_steps": 2},
    "sharded": {"fsdp": True},
    "tied": {"fsdp": True, "tied": True},
    "modern": {"modern": True},
    "modern, sharded": {"modern": True, "fsdp": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_take_the_steps_of_one(make_trainer, tmp_path, way):
    options = WAYS[way]
    alone = losses(make_trainer(tied="tied" in options, modern="modern" in options))
    first, second = in_processes(2, lambda: losses(make_trainer(tmp_path / "run", **options)))
    assert first == second
    assert close(first, alone)
    run = read_run(tmp_path / "run" / "log.jsonl")
    assert [record.loss for record in run.records] == pytest.approx([loss for loss, _, _ in alone], rel=1e-4)
    assert run.header["processes"] == 2
    left = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert left == [".lock", "best", "last", "log.jsonl", "step-000012"]


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", [False, True])
def test_what_two_processes_saved_is_the_whole_model(make_trainer, data, tmp_path, fsdp):
    alone = make_trainer()
    losses(alone)
    in_processes(2, lambda: losses(make_trainer(tmp_path / "run", fsdp=fsdp)))
    saved = checkpoint.load(tmp_path / "run" / "last").model
    torch.testing.assert_close(
        saved(data.train[None, :8]), alone.model.eval()(data.train[None, :8]), rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize("fsdp", [False, True])
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(make_trainer, data, tmp_path, fsdp, modern):
    options = {"fsdp": fsdp, "modern": modern, "dropout": 0.2}

    def straight():
        return losses(make_trainer(**options))

    def broken():
        return losses(make_trainer(tmp_path / "run", **options), steps=5)

    def resumed():
        return losses(Trainer.resume(tmp_path / "run", data, device="cpu", fsdp=fsdp))

    expected = in_processes(2, straight)[0]
    assert in_processes(2, broken)[0] == expected[:5]
    assert in_processes(2, resumed)[0] == expected[4:]


@pytest.mark.slow
@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_a_run_goes_on_in_another_number_of_processes(make_trainer, data, tmp_path, before, after, modern):
    expected = losses(make_trainer(modern=modern))

    def broken():
        return losses(make_trainer(tmp_path / "run", fsdp=before, modern=modern), steps=4)

    def resumed():
        return losses(Trainer.resume(tmp_path / "run", data, device="cpu", fsdp=after))

    found = in_processes(2, broken)[0] if before else broken()
    found += in_processes(2, resumed)[0] if after else resumed()
    assert close(found, expected)


@pytest.mark.slow
def test_muon_gathers_each_sharded_matrix_once(make_trainer):
    def action():
        trainer = make_trainer(modern=True, fsdp=True)
        trainer.train_step()
        with CommDebugMode() as collectives:
            trainer.optimizer.step()
        matrices = [group["params"] for group in trainer.optimizer.param_groups if group["rule"] == "muon"]
        return collectives.get_total_counts(), len(matrices[0])

    for collectives, matrices in in_processes(2, action):
        assert collectives == matrices > 0


@pytest.mark.slow
def test_muon_moves_the_shards_of_any_matrix_as_the_whole():
    def action():
        mesh = init_device_mesh("cpu", (2,))
        torch.manual_seed(0)
        pairs = []
        for rows, columns in [(1, 1), (1, 9), (9, 1), *torch.randint(1, 40, (20, 2)).tolist()]:
            weight = torch.randn(rows, columns)
            whole = torch.nn.Parameter(weight.clone())
            sharded = torch.nn.Parameter(distribute_tensor(weight, mesh, [Shard(0)]))
            optimizers = [Muon([one], [], lr=0.1, weight_decay=0.2) for one in (whole, sharded)]
            for _ in range(3):
                whole.grad = torch.randn(rows, columns)
                sharded.grad = distribute_tensor(whole.grad, mesh, [Shard(0)])
                for optimizer in optimizers:
                    optimizer.step()
            pairs.append((whole.tolist(), sharded.full_tensor().tolist()))
        return pairs

    for pairs in in_processes(2, action):
        for whole, sharded in pairs:
            torch.testing.assert_close(torch.tensor(sharded), torch.tensor(whole))


def test_each_process_drops_other_channels(make_trainer):
    states = in_processes(2, lambda: make_trainer().random_state["cpu"].sum().item())
    assert states[0] != states[1]


def test_all_processes_hear_of_what_happened_in_one(make_trainer):
    def action():
        parallel = make_trainer().parallel
        return (
            parallel.any_rank(parallel.rank == 1),
            parallel.any_rank(False),
            parallel.broadcast(float(parallel.rank + 5)),
        )

    assert in_processes(2, action) == [(True, False, 5.0)] * 2


def test_only_the_first_process_speaks_for_all():
    assert in_processes(2, is_main_process) == [True, False]
    assert is_main_process()


# --- mistakes


@pytest.mark.parametrize("changes", [{"batch_size": 5}, {"batch_size": 4, "grad_accum_steps": 4}])
def test_a_batch_that_cannot_be_shared_out_is_named(make_trainer, changes):
    for error in in_processes(2, lambda: make_trainer(**changes)):
        assert isinstance(error, UserError) and "choose a multiple of" in str(error)


def test_a_sharded_model_has_no_float16(make_trainer):
    for error in in_processes(2, lambda: make_trainer(fsdp=True, precision="float16")):
        assert "choose precision bfloat16 or float32" in str(error)


def test_one_process_cannot_share_a_model(model):
    with pytest.raises(UserError, match="start them with torchrun"):
        wrap_model(model, fsdp=True)


def test_processes_that_have_not_joined_are_told_how(model, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="train inside `with process_group"):
        wrap_model(model)


def test_without_torchrun_there_is_no_group():
    with process_group():
        assert not torch.distributed.is_initialized()


# --- the command


@pytest.mark.slow
def test_torchrun_trains_with_the_command(tmp_path):
    (tmp_path / "text.txt").write_text("again and again the same few words\n" * 40, encoding="utf-8")
    sizes = (
        "--n-layer 1 --n-head 2 --n-embd 16 --block-size 16 --batch-size 8 --max-steps 6 --eval-every 3 --save-every 3"
    )
    arguments = ["-m", "minigpt", "train", "--text", "text.txt", "--device", "cpu", *sizes.split()]
    path = os.pathsep.join([str(Path(checkpoint.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    settings = {"cwd": tmp_path, "env": os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([sys.executable, *torchrun, *arguments, "--out", "two"], capture_output=True, **settings)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().count("The run is complete at step 6") == 1, "one process speaks for all"
    assert b"torchrun --nproc-per-node 2 -m minigpt train --resume" in done.stdout
    subprocess.run([sys.executable, *arguments, "--out", "one"], check=True, capture_output=True, **settings)
    one, two = (read_run(tmp_path / name / "log.jsonl").records for name in ("one", "two"))
    assert [record.loss for record in two] == pytest.approx([record.loss for record in one], rel=1e-4)
