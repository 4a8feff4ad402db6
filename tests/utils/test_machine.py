"""What the code runs on."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import UserError, by_tier, default_device, tier
from minigpt.utils import machine
from minigpt.utils.machine import environment_info, peak_memory_mb, resolve_device


@pytest.fixture
def devices(monkeypatch):
    def have(cuda: bool = False, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return have


@pytest.mark.parametrize(
    ("have", "expected"),
    [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": True}, "cuda"), ({"cuda": True, "mps": True}, "cuda")],
)
def test_the_fastest_device_is_picked(devices, have, expected):
    devices(**have)
    assert default_device() == torch.device(expected)


@pytest.mark.parametrize("chosen", ["smoke", "cpu", "gpu"])
def test_the_tier_is_what_the_environment_says(monkeypatch, chosen):
    monkeypatch.setenv("MINIGPT_TIER", chosen)
    assert tier() == chosen
    assert by_tier(smoke="smoke", cpu="cpu", gpu="gpu") == chosen


@pytest.mark.parametrize("unset", [None, ""])
@pytest.mark.parametrize(("have", "expected"), [({}, "cpu"), ({"cuda": True}, "gpu"), ({"mps": True}, "gpu")])
def test_otherwise_the_tier_is_the_device(monkeypatch, devices, unset, have, expected):
    monkeypatch.delenv("MINIGPT_TIER", raising=False)
    if unset is not None:
        monkeypatch.setenv("MINIGPT_TIER", unset)
    devices(**have)
    assert tier() == expected
    assert by_tier(smoke=1, cpu=2, gpu=3) == {"cpu": 2, "gpu": 3}[expected]


def test_an_unknown_tier_is_named(monkeypatch):
    monkeypatch.setenv("MINIGPT_TIER", "tpu")
    with pytest.raises(UserError, match="MINIGPT_TIER = 'tpu' is not a tier; set it to one of smoke, cpu, gpu"):
        by_tier(smoke=1, cpu=2, gpu=3)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak memory in /proc")
def test_memory_is_in_megabytes():
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak_memory_mb() == pytest.approx(int(kilobytes) / 1000, rel=0.05)


@pytest.mark.parametrize(("system", "megabytes"), [("linux", 2048.0), ("darwin", 2.048)])
def test_each_system_counts_memory_in_its_own_unit(monkeypatch, system, megabytes):
    resource = pytest.importorskip("resource", reason="only Unix counts a process's memory this way")
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2_048_000))
    monkeypatch.setattr(sys, "platform", system)
    assert peak_memory_mb() == megabytes


def test_the_description_says_what_a_record_needs():
    described = environment_info()
    assert {"date", "processor", "threads", "device", "python", "torch", "commit"} == set(described)
    assert described["torch"] == torch.__version__
    assert described["processor"]
    json.dumps(described)


def test_without_git_there_is_no_commit(monkeypatch):
    def missing(*arguments, **named):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert machine.git_commit() == ""


def test_outside_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.git_commit() == ""


def test_a_device_is_chosen_by_name():
    assert resolve_device(None) == default_device()
    assert resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="There is no device 'gpu'; choose one of cpu, cuda, mps"):
        resolve_device("gpu")


def test_a_device_that_is_not_here_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="has no device 'cuda' that PyTorch can use; leave it out"):
        resolve_device("cuda")


def test_one_of_several_devices_is_chosen_by_its_number(devices, monkeypatch):
    devices(cuda=True, mps=True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda") == torch.device("cuda")
    assert [resolve_device(f"cuda:{number}") for number in (0, 1)] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert resolve_device("cpu:0") == torch.device("cpu")
    assert resolve_device("mps") == resolve_device("mps:0") == torch.device("mps")
    with pytest.raises(
        UserError, match=r"no device 'cuda:2', since this machine has 2 of that kind; choose cuda:0 to c"
    ):
        resolve_device("cuda:2")
    with pytest.raises(UserError, match="no device 'cpu:1', since this machine has 1 of that kind; choose cpu"):
        resolve_device("cpu:1")
    devices()
    for name in ("cuda:0", "mps:0"):
        with pytest.raises(UserError, match="This machine has no device '(cuda|mps)' that PyTorch can use"):
            resolve_device(name)


@given(st.one_of(st.text(max_size=12), st.from_regex(r"(cpu|cuda|mps):?[^0]{0,3}", fullmatch=True)))
def test_any_other_name_of_a_device_is_refused_in_one_sentence(name):
    try:
        assert resolve_device(name).type == name.partition(":")[0]
    except UserError as error:
        assert "\n" not in str(error) or "\n" in name
