"""What the parts of `run.py` have in common: their sizes, their budget of time, and a device's best speed."""

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from minigpt import GPTConfig, model_preset
from minigpt.planning.devices import detect_device, match_device, mfu
from minigpt.utils.machine import default_precision, resolve_device


@dataclass(frozen=True)
class Sizes:
    """How large everything is: changes to the model and the training of two presets, and what is timed."""

    memorise: tuple[dict[str, Any], dict[str, Any]]
    foundation: tuple[dict[str, Any], dict[str, Any]]
    timed: GPTConfig
    batch_sizes: tuple[int, ...]
    contexts: tuple[int, ...]
    tokens: int  # in each call of attention
    repeats: int  # of whatever is timed
    target: float
    compiled: tuple[bool, ...] = (False, True)
    small: bool = False


OFTEN = {"eval_every": 250, "save_every": 1000}
FULL = Sizes(
    memorise=({"block_size": 128}, {"max_steps": 20_000, **OFTEN}),  # places beyond the window would never be read
    foundation=({}, OFTEN),
    timed=model_preset("gpt2"),
    batch_sizes=(8, 16, 32),
    contexts=(256, 1024, 4096),
    tokens=16 * 1024,
    repeats=20,
    target=0.1,
)
NANO = {"n_layer": 1, "n_head": 2, "n_embd": 16, "mlp_dim": 32, "block_size": 8}
QUICK = {"max_steps": 60, "batch_size": 4, "eval_every": 20, "eval_sequences": 4, "save_every": 20, "warmup_steps": 0}
QUICK |= {"learning_rate": 1e-2, "min_learning_rate": 1e-3}
MINIATURE = Sizes(
    memorise=(NANO, QUICK),
    foundation=(NANO, QUICK),
    timed=GPTConfig(**NANO, vocab_size=50),
    batch_sizes=(1, 2),
    contexts=(8, 16),
    tokens=32,
    repeats=2,
    target=3.3,
    compiled=(False,),  # on a CPU that takes minutes
    small=True,
)


@dataclass(frozen=True)
class Part:
    """One part: its name and sizes, where its findings and its checkpoints go, and when its time is up."""

    name: str
    sizes: Sizes
    records: Any
    work: Path
    until: float
    device_name: str | None = None
    compile: bool = False

    @property
    def device(self) -> torch.device:
        """The device to use."""
        return resolve_device(self.device_name)

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.until - time.monotonic()


def described_speed(config: GPTConfig, tokens_per_second: float, device: torch.device, precision: str) -> dict:
    """Return a speed of training and its share of the device's best, as the data sheet says and as measured here."""
    precision = default_precision(device) if precision == "auto" else precision
    peaks = best_speeds(device, precision)
    shares = {name: mfu(config, tokens_per_second, peak) for name, peak in peaks.items()}
    return {"precision": precision, "tokens_per_second": tokens_per_second, "peak": peaks, "utilisation": shares}


@cache
def best_speeds(device: torch.device, precision: str) -> dict[str, float]:
    """Return the operations per second that a device reaches at best: measured, and by its data sheet if known."""
    here = detect_device(device)
    sheet = match_device(here.name)
    return {"measured": here.peak_flops(precision)} | ({"data sheet": sheet.peak_flops(precision)} if sheet else {})
