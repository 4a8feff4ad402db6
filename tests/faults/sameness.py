"""What two runs or two folders have to have in common to be the same."""

import hashlib
from pathlib import Path

import torch

from minigpt import checkpoint, read_run

NOT_COMPARED = ("seconds", "tokens_per_second", "peak_memory_mb", "memory_mb", "cpu_percent")


def fingerprint(value: object) -> str:
    """Return a checksum of nested values, tensors to the bit."""
    if isinstance(value, torch.Tensor):
        content = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return hashlib.sha256(repr((value.dtype, value.shape)).encode() + content).hexdigest()
    if isinstance(value, dict):
        return hashlib.sha256(repr([(key, fingerprint(each)) for key, each in value.items()]).encode()).hexdigest()
    if isinstance(value, (list, tuple)):
        return hashlib.sha256(repr([fingerprint(each) for each in value]).encode()).hexdigest()
    return hashlib.sha256(repr(value).encode()).hexdigest()


def of_run(run: Path) -> dict[str, str]:
    """Return a checksum of each thing that a training run has left, without what is measured by the clock."""
    records = [vars(record) for record in read_run(run / "log.jsonl").records]
    state = checkpoint.read_trainer_state(run / "last")
    del state["seconds"]
    return {
        "log": fingerprint([{name: record[name] for name in record if name not in NOT_COMPARED} for record in records]),
        "state": fingerprint(state),
        **{name: fingerprint(checkpoint.load(run / name).model.state_dict()) for name in ("best", "last")},
    }


def is_tidy(run: Path) -> bool:
    """Return whether a run's folder holds nothing but its log, its two pointers and what they name."""
    named = {checkpoint.find_checkpoint(run / name).name for name in ("best", "last")}
    return {path.name for path in run.iterdir()} == {".lock", "best", "last", "log.jsonl", *named}


def of_folder(folder: Path) -> dict[str, bytes]:
    """Return all that stands in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
