"""What a computer can hold and how fast it can multiply: some named devices, and the one this runs on."""

import time
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

import psutil
import torch

from minigpt.config import GPTConfig
from minigpt.planning.counting import training_flops
from minigpt.utils.errors import UserError, not_none
from minigpt.utils.machine import DTYPES, default_device, default_precision, processor_name


@dataclass(frozen=True)
class Device:
    """A computer to plan for: its memory in bytes, and the operations per second that it reaches at best.

    `peak` is for float32, and `half_peak` for products of 16-bit numbers that are added up in float32, where there
    are units for that (tensor cores).
    """

    name: str
    kind: str
    memory: int
    peak: float
    half_peak: float | None = None
    bfloat16: bool = True

    def peak_flops(self, precision: str = "float32") -> float:
        """Return the operations per second at a precision, at best.

        Raises:
            UserError: there is no such precision, or the device has no units for it.
        """
        if precision not in DTYPES:
            raise UserError(f"There is no precision {precision!r}; choose one of {', '.join(DTYPES)}.")
        if precision == "float32":
            return self.peak
        half_peak = not_none(self.half_peak, f"{self.name} has no units for {precision}; plan for float32 there.")
        lacking = precision == "bfloat16" and not self.bfloat16
        if lacking:
            raise UserError(f"{self.name} can only emulate bfloat16; plan for float16 there.")
        return half_peak


def gpu(
    name: str, gigabytes: int, cores: int, gigahertz: float, half_teraflops: float, bfloat16: bool = True
) -> Device:
    """Return a graphics card; a core adds and multiplies once in a cycle."""
    peak = 2 * cores * gigahertz * 1e9
    return Device(f"NVIDIA {name}", "cuda", gigabytes * 10**9, peak, half_teraflops * 1e12, bfloat16)


# Memory, cores, boost clock and the speed of the tensor cores are those of NVIDIA's data sheets and white papers;
# where a data sheet counts every second weight as zero ("with sparsity"), half of its figure stands here.
# The laptop is nobody's in particular: eight cores with two units that add and multiply eight numbers at once.
DEVICES = {
    "laptop": Device("a laptop with 16 GB", "cpu", 16 * 10**9, peak=8 * 32 * 3.0e9),
    "t4": gpu("T4", 16, cores=2560, gigahertz=1.59, half_teraflops=65, bfloat16=False),
    "l4": gpu("L4", 24, cores=7424, gigahertz=2.04, half_teraflops=121),
    "rtx3090": gpu("RTX 3090", 24, cores=10496, gigahertz=1.695, half_teraflops=71),
    "rtx4090": gpu("RTX 4090", 24, cores=16384, gigahertz=2.52, half_teraflops=165),
    "a100": gpu("A100, 40 GB", 40, cores=6912, gigahertz=1.41, half_teraflops=312),
    "h100": gpu("H100 SXM", 80, cores=16896, gigahertz=1.98, half_teraflops=989),
    "h200": gpu("H200 SXM", 141, cores=16896, gigahertz=1.98, half_teraflops=989),
}


def find_device(name: str) -> Device:
    """Return a device by name; `this` is the one that the program runs on.

    Raises:
        UserError: there is no such device; the names are listed.
    """
    if name == "this":
        return detect_device()
    if name not in DEVICES:
        close = get_close_matches(name.lower(), DEVICES, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(f"There is no device {name!r}{meant}; the devices are this, {', '.join(DEVICES)}.")
    return DEVICES[name]


def match_device(name: str) -> Device | None:
    """Return the device that a driver reports by this name, such as `Tesla T4`; None if it has no entry here."""
    words = name.lower().replace("-", " ").split()
    if {"pcie", "nvl", "laptop", "d", "ti", "super"} & set(words):  # of another speed than their namesakes
        return None
    said = {*words, *map("".join, pairwise(words))}  # RTX 4090 is rtx4090
    return next((device for short, device in DEVICES.items() if short in said), None)


def detect_device(device: torch.device | None = None) -> Device:
    """Return a device of this machine, or the one that training would use, measured with some large matrix products."""
    device = device or default_device()
    if device.type != "cuda":
        name = f"{processor_name()}, {torch.get_num_threads()} threads"
        return Device(name, device.type, main_memory(), measure_matmul_flops(device))
    properties = torch.cuda.get_device_properties(device)
    precision = default_precision(device)
    peak, half = (measure_matmul_flops(device, 8192, kind=kind) for kind in (torch.float32, DTYPES[precision]))
    return Device(properties.name, device.type, properties.total_memory, peak, half, precision == "bfloat16")


def main_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or a container's limit."""
    machine = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    stated = limit.read_text("utf-8").strip() if limit.exists() else "max"
    return min(machine, int(stated)) if stated.isdigit() else machine


def measure_matmul_flops(
    device: torch.device | str, size: int = 1024, times: int = 5, kind: torch.dtype = torch.float32
) -> float:
    """Return the floating-point operations per second of the fastest of some large matrix products."""
    matrix = torch.rand(size, size, device=device, dtype=kind)
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # .item() waits until the result is there
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def mfu(config: GPTConfig, tokens_per_second: float, peak: float) -> float:
    """Return the share of a device's best speed that goes into a model's own matrix products: its MFU.

    peak: operations per second, at the precision of the training. What a training step computes twice to save memory
    does not count as the model's own (Chowdhery et al., 2022, appendix B).

    Raises:
        UserError: a speed is not positive.
    """
    for name, speed in (("tokens_per_second", tokens_per_second), ("peak", peak)):
        if not speed > 0:
            raise UserError(f"{name} = {speed} must be above 0.")
    return tokens_per_second * training_flops(config) / peak


def expected_tokens_per_second(config: GPTConfig, peak: float, mfu: float) -> float:
    """Return the tokens per second that a share of a device's best speed gives: `mfu`, solved for them.

    Raises:
        UserError: the MFU is not above 0 and at most 1, or the speed is not positive.
    """
    if not 0 < mfu <= 1:
        raise UserError(f"mfu = {mfu} must be above 0 and at most 1.")
    if peak <= 0:
        raise UserError(f"peak = {peak} must be above 0.")
    return mfu * peak / training_flops(config)
