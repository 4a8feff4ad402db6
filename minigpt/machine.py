"""What the code runs on: the device to use, the memory used so far, and a description for records."""

import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TypeVar

import torch

from minigpt.config import require

Value = TypeVar("Value")
TIERS = ("smoke", "cpu", "gpu")


def pick_device() -> torch.device:
    """Return the fastest device there is: CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def choose_device(name: str | None) -> torch.device:
    """Return the device of this name, or the fastest there is if there is no name.

    Raises:
        UserError: the name is none of cpu, cuda and mps, or this machine has no such device.
    """
    if name is None:
        return pick_device()
    at_hand = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    require(name in at_hand, f"There is no device {name!r}; choose one of {', '.join(at_hand)}.")
    require(at_hand[name], f"This machine has no device {name!r} that PyTorch can use; leave it out.")
    return torch.device(name)


def tier() -> str:
    """Return the tier in force: `MINIGPT_TIER` if set, otherwise gpu where there is one and cpu elsewhere.

    Raises:
        UserError: `MINIGPT_TIER` is none of smoke, cpu and gpu.
    """
    chosen = os.environ.get("MINIGPT_TIER") or ("cpu" if pick_device().type == "cpu" else "gpu")
    require(chosen in TIERS, f"MINIGPT_TIER = {chosen!r} is not a tier; set it to one of {', '.join(TIERS)}.")
    return chosen


def budget(*, smoke: Value, cpu: Value, gpu: Value) -> Value:
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


def describe_machine() -> dict[str, str | int]:
    """Return what a record says about the machine, the versions and the date."""
    return {
        "date": date.today().isoformat(),
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else pick_device().type,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit(),
    }


def processor_name() -> str:
    """Return the processor's model name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """Return the short hash of the commit that the package runs from, or an empty text outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
