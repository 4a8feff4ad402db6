"""What the code runs on: devices, tiers, memory, versions, and the files that ship with the package."""

import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TypeVar

import psutil
import torch

from minigpt.utils.errors import UserError

Value = TypeVar("Value")


TIERS = ("smoke", "cpu", "gpu")


DEVICE_KINDS = ("cpu", "cuda", "mps")


def default_device() -> torch.device:
    """Return the fastest device there is: CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def resolve_device(name: str | None) -> torch.device:
    """Return the device of this name, such as `cpu` or `cuda:1`, or the fastest there is if there is no name.

    Raises:
        UserError: the name is none of cpu, cuda and mps, with or without a number, or this machine has no such device.
    """
    if name is None:
        return default_device()
    kind, _, number = name.partition(":")
    if kind not in DEVICE_KINDS or not re.fullmatch(r"[^:]+(:[0-9]{1,9})?", name):
        raise UserError(f"There is no device {name!r}; choose one of {', '.join(DEVICE_KINDS)}, or one such as cuda:1.")
    count = _device_count(kind)
    if count == 0:
        raise UserError(f"This machine has no device {kind!r} that PyTorch can use; leave it out.")
    if number and int(number) >= count:
        last = kind if count == 1 else f"{kind}:0 to {kind}:{count - 1}"
        raise UserError(f"There is no device {name!r}, since this machine has {count} of that kind; choose {last}.")
    return torch.device(kind, int(number)) if number and kind == "cuda" else torch.device(kind)


def _device_count(kind: str) -> int:
    """Return how many devices of a kind PyTorch can use here; the processor is one, whatever its cores."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return 1 if kind == "cpu" else int(torch.backends.mps.is_available())


def tier() -> str:
    """Return the tier in force: `MINIGPT_TIER` if set, otherwise gpu where there is one and cpu elsewhere.

    Raises:
        UserError: `MINIGPT_TIER` is none of smoke, cpu and gpu.
    """
    chosen = os.environ.get("MINIGPT_TIER") or ("cpu" if default_device().type == "cpu" else "gpu")
    if chosen not in TIERS:
        raise UserError(f"MINIGPT_TIER = {chosen!r} is not a tier; set it to one of {', '.join(TIERS)}.")
    return chosen


def by_tier(*, smoke: Value, cpu: Value, gpu: Value) -> Value:
    """Return the value for the tier in force: a smoke test, a run worth reading on a CPU, or one for a GPU."""
    return {"smoke": smoke, "cpu": cpu, "gpu": gpu}[tier()]


def peak_memory_mb(device: torch.device | str = "cpu") -> float:
    """Return the most memory used so far in MB: of the CUDA device, or of this process (0 where unknown)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def environment_info() -> dict[str, str | int]:
    """Return what a record says about the machine, the versions and the date."""
    return {
        "date": date.today().isoformat(),
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else default_device().type,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git_commit(),
    }


def processor_name() -> str:
    """Return the processor's model name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def git_commit() -> str:
    """Return the short hash of the commit that the package runs from, or an empty text outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def asset_path(name: str) -> Path:
    """Return the path of a shipped file or folder, such as `checkpoints/tiny` or `results/tiny-shakespeare.jsonl`.

    It is found inside an installed package, or beside the package in a checkout of the repository.

    Raises:
        UserError: nothing of that name is shipped.
    """
    package = Path(__file__).parent.parent
    for place in (package / name, package.parent / name):
        if place.exists():
            return place
    raise UserError(f"Nothing named {name!r} is shipped with this minigpt; check the name, or install it again.")


class ResourceMonitor:
    """Measure this process; each reading covers the time since the one before.

    The processor counts 100 % for each core that was busy all the time, memory is in MB.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.process = psutil.Process()
        self.process.cpu_percent()  # the first reading has nothing to compare with

    def read(self) -> dict[str, float]:
        """Return the entries for a record: those of the GPU only for a run on one."""
        readings = {
            "cpu_percent": self.process.cpu_percent(),
            "memory_mb": self.process.memory_info().rss / 1e6,
        }
        if self.device.type == "cuda":
            readings["gpu_memory_mb"] = torch.cuda.memory_allocated(self.device) / 1e6
            readings |= {"gpu_percent": busy} if (busy := gpu_percent(self.device)) is not None else {}
        return readings


def gpu_percent(device: torch.device) -> float | None:
    """Return how busy the GPU was of late, or None where its driver's Python package is not there to tell."""
    try:
        return float(torch.cuda.utilization(device))
    except (ModuleNotFoundError, RuntimeError):
        return None


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def default_precision(device: torch.device) -> str:
    """Return the fastest format that a device computes in by itself.

    bfloat16 on NVIDIA's GPUs from Ampere on (capability 8.0); float16 on older ones, such as a T4, which only emulate
    bfloat16; float32 on the CPU and on Apple's MPS.
    """
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
