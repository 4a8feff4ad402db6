"""What a run takes from the machine is measured, and a GPU only where there is one."""

import time

import pytest
import torch

from minigpt.utils import machine
from minigpt.utils.machine import ResourceMonitor, gpu_percent


def test_the_cpu_is_measured_between_two_readings():
    meter = ResourceMonitor(torch.device("cpu"))
    started = time.process_time()
    while time.process_time() - started < 0.3:
        pass
    busy = meter.read()
    time.sleep(0.3)
    idle = meter.read()
    assert busy["cpu_percent"] > idle["cpu_percent"] and idle["cpu_percent"] < 60
    assert set(busy) == {"cpu_percent", "memory_mb"}


def test_memory_grows_with_what_is_kept():
    meter = ResourceMonitor(torch.device("cpu"))
    before = meter.read()["memory_mb"]
    kept = torch.ones(50_000_000 // 4)  # 50 MB
    assert meter.read()["memory_mb"] - before == pytest.approx(kept.nbytes / 1e6, abs=5)


def test_the_gpu_is_read_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2_000_000)
    monkeypatch.setattr(machine, "gpu_percent", lambda device: 87.0)
    readings = ResourceMonitor(torch.device("cuda")).read()
    assert (readings["gpu_memory_mb"], readings["gpu_percent"]) == (2.0, 87.0)
    monkeypatch.setattr(machine, "gpu_percent", lambda device: None)
    assert "gpu_percent" not in ResourceMonitor(torch.device("cuda")).read()


@pytest.mark.parametrize("error", [ModuleNotFoundError, RuntimeError])
def test_a_driver_that_tells_nothing_is_passed_over(monkeypatch, error):
    def fail(device):
        raise error

    monkeypatch.setattr(torch.cuda, "utilization", fail)
    assert gpu_percent(torch.device("cuda")) is None
