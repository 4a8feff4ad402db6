"""What a computer can hold and how fast it can multiply: some named devices, and the one this runs on."""

import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import psutil
import torch

from minigpt.errors import UserError
from minigpt.machine import pick_device, processor_name


@dataclass(frozen=True)
class Device:
    """A computer to plan for: its memory in bytes, and the float32 operations per second that it reaches at best."""

    name: str
    kind: str
    memory: int
    peak: float


def unit_by_unit(name: str, kind: str, gigabytes: int, units: int, operations: int, gigahertz: float) -> Device:
    """Return a device whose speed is units × operations in a clock cycle × cycles in a second."""
    return Device(name, kind, gigabytes * 10**9, units * operations * gigahertz * 1e9)


# Cores, boost clock and memory are those of NVIDIA's data sheets; a core adds and multiplies once in a cycle.
# The laptop is nobody's in particular: eight cores with two units that add and multiply eight numbers at once.
DEVICES = {
    "laptop": unit_by_unit("a laptop with 16 GB", "cpu", 16, units=8, operations=32, gigahertz=3.0),
    "t4": unit_by_unit("NVIDIA T4", "cuda", 16, units=2560, operations=2, gigahertz=1.59),
    "l4": unit_by_unit("NVIDIA L4", "cuda", 24, units=7424, operations=2, gigahertz=2.04),
    "rtx3090": unit_by_unit("NVIDIA RTX 3090", "cuda", 24, units=10496, operations=2, gigahertz=1.695),
    "rtx4090": unit_by_unit("NVIDIA RTX 4090", "cuda", 24, units=16384, operations=2, gigahertz=2.52),
    "a100": unit_by_unit("NVIDIA A100, 40 GB", "cuda", 40, units=6912, operations=2, gigahertz=1.41),
    "h100": unit_by_unit("NVIDIA H100 SXM", "cuda", 80, units=16896, operations=2, gigahertz=1.98),
    "h200": unit_by_unit("NVIDIA H200 SXM", "cuda", 141, units=16896, operations=2, gigahertz=1.98),
}


def find_device(name: str) -> Device:
    """Return a device by name; `this` is the one that the program runs on.

    Raises:
        UserError: there is no such device; the names are listed.
    """
    if name == "this":
        return this_device()
    if name not in DEVICES:
        close = get_close_matches(name.lower(), DEVICES, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(f"There is no device {name!r}{meant}; the devices are this, {', '.join(DEVICES)}.")
    return DEVICES[name]


def this_device() -> Device:
    """Return the device that training would use here, its speed measured with some large matrix products."""
    device = pick_device()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, memory = properties.name, properties.total_memory
    else:
        name, memory = f"{processor_name()}, {torch.get_num_threads()} threads", main_memory()
    return Device(name, device.type, memory, matrix_speed(device))


def main_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or a container's limit."""
    machine = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    stated = limit.read_text().strip() if limit.exists() else "max"
    return min(machine, int(stated)) if stated.isdigit() else machine


def matrix_speed(device: torch.device | str, size: int = 1024, times: int = 5) -> float:
    """Return the floating-point operations per second of the fastest of some large float32 matrix products."""
    matrix = torch.rand(size, size, device=device)
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # .item() waits until the result is there
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)
