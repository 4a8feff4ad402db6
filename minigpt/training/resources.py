"""What a training run takes from the machine: processor, memory, and the GPU where there is one."""

import psutil
import torch


class ResourceMeter:
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
