"""The tables of speeds of `run.py`: training steps with and without torch.compile, and the kernels for attention."""

import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from itertools import product
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.gpu.common import Part, described_speed
from minigpt import TrainConfig, UserError, naive_attention, sdpa_attention
from minigpt.training.throughput import measure_throughput, synchronize
from minigpt.utils.machine import DTYPES, default_precision, peak_memory_mb

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
    "naive": None,  # the formula of the book, without a kernel of its own
}


def throughput(part: Part) -> None:
    """Time training steps of GPT-2 at its full context: in float32, in the device's own precision, and compiled."""
    cases = product(part.sizes.batch_sizes, ("float32", "auto"), part.sizes.compiled)

    def measure(batch_size: int, precision: str, compiled: bool) -> dict[str, Any]:
        settings = TrainConfig(batch_size=batch_size, precision=precision, compile=compiled)
        forget_peak(part.device)
        speed = measure_throughput(part.sizes.timed, settings, steps=part.sizes.repeats, warmup=3, device=part.device)
        described = described_speed(part.sizes.timed, speed, part.device, precision)
        return described | {"peak_memory_mb": peak_memory_mb(part.device)}

    part.records.put(part.name, model=part.sizes.timed.to_dict())
    fill_table(part, ("batch_size", "asked_precision", "compile"), cases, measure)


def attention(part: Part) -> None:
    """Time one layer's attention, forward and backward, with each kernel and at several contexts."""
    config, device = part.sizes.timed, part.device
    kind = DTYPES[default_precision(device)]

    def measure(context: int, kernel: str) -> dict[str, Any]:
        size = (part.sizes.tokens // context, config.n_head, context, config.head_dim)  # (B, H, T, D)
        q, k, v = (torch.randn(size, device=device, dtype=kind, requires_grad=True) for _ in range(3))
        attend = naive_attention if kernel == "naive" else sdpa_attention
        forget_peak(device)
        seconds = []
        for _ in range(part.sizes.repeats + 2):
            synchronize(device)
            started = time.perf_counter()
            with sdpa_kernel([KERNELS[kernel]]) if KERNELS[kernel] else nullcontext():
                attend(q, k, v)[0].sum().backward()
            synchronize(device)
            seconds.append(time.perf_counter() - started)
        return {"milliseconds": 1e3 * statistics.median(seconds[2:]), "peak_memory_mb": peak_memory_mb(device)}

    shape = {"n_head": config.n_head, "head_dim": config.head_dim, "tokens": part.sizes.tokens, "format": str(kind)}
    part.records.put(part.name, shape=shape)
    fill_table(part, ("context", "kernel"), product(part.sizes.contexts, KERNELS), measure)


def fill_table(
    part: Part, titles: tuple[str, ...], cases: Iterable[tuple], measure: Callable[..., dict[str, Any]]
) -> None:
    """Measure the cases that the record does not hold yet, and write each down at once."""
    rows = part.records.of(part.name).get("rows", [])
    done = [tuple(row[title] for title in titles) for row in rows]
    status = "done"
    for case in cases:
        if case in done:
            continue
        if part.left < 0:
            status = "out of time"
            break
        try:
            found = measure(*case)
        except (RuntimeError, UserError) as error:  # not enough memory, no compiler, no such kernel for this device
            found = {"failed": str(error).strip().splitlines()[0]}
        rows.append(dict(zip(titles, case, strict=True)) | found)
        part.records.put(part.name, rows=rows)
        print(rows[-1], flush=True)
    part.records.put(part.name, status=status)


def forget_peak(device: torch.device) -> None:
    """Count the peak of a GPU's memory from here."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
