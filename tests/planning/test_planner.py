"""Plans: operations, time, what fits a device; and the devices themselves."""

import math

import pytest
import torch

from minigpt import GPTConfig, UserError, model_preset, preset_names
from minigpt.planning.counting import num_parameters, training_flops
from minigpt.planning.devices import (
    DEVICES,
    detect_device,
    find_device,
    main_memory,
    match_device,
    measure_matmul_flops,
)
from minigpt.planning.memory import training_memory
from minigpt.planning.planner import TYPICAL_MFU, fitting_presets, largest_batch, plan, usable_memory
from minigpt.training.throughput import measure_training_flops
from minigpt.utils.units import format_bytes, format_duration

CONFIG = GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8)
T4 = DEVICES["t4"]


def test_a_plan_multiplies_out():
    made = plan(CONFIG, T4, batch_size=4, tokens=1000)
    assert made.steps == math.ceil(1000 / (4 * 8))
    assert made.operations == 1000 * training_flops(CONFIG)
    assert made.seconds == pytest.approx(made.operations / (TYPICAL_MFU * T4.peak))
    assert plan(CONFIG, T4, batch_size=4, tokens=1000, flops_per_second=1e6).seconds == made.operations / 1e6
    assert made.fits and made.training == training_memory(CONFIG, 4, "cuda")


@pytest.mark.parametrize(
    "wrong", [{"tokens": 0}, {"batch_size": 0}, {"flops_per_second": 0.0}, {"grad_accum_steps": 0}]
)
def test_a_plan_needs_positive_numbers(wrong):
    with pytest.raises(UserError, match="= 0"):
        plan(CONFIG, T4, **({"batch_size": 1, "tokens": 1} | wrong))


@pytest.mark.parametrize("device", ["laptop", "t4", "h200"])
@pytest.mark.parametrize("name", ["tiny-shakespeare", "150M", "500M_1024"])
def test_the_largest_batch_fits_and_one_more_does_not(name, device):
    device, config = DEVICES[device], model_preset(name)
    largest = largest_batch(config, device)
    if largest > 0:
        assert training_memory(config, largest, device.kind).peak <= usable_memory(device)
    assert training_memory(config, largest + 1, device.kind).peak > usable_memory(device)


def test_presets_that_fit_come_largest_first():
    rows = fitting_presets(T4)
    sizes = [num_parameters(model_preset(name)) for name, _ in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert all(batch == largest_batch(model_preset(name), T4) > 0 for name, batch in rows)
    assert {name for name, _ in fitting_presets(DEVICES["h200"])} == set(preset_names())


def test_named_devices():
    assert pytest.approx(8.14e12, rel=0.01) == T4.peak and T4.memory == 16 * 10**9
    assert pytest.approx(67e12, rel=0.01) == DEVICES["h200"].peak
    assert find_device("a100") is DEVICES["a100"]
    with pytest.raises(UserError, match=r"no device 'H20' \(did you mean 'h200'\?\); the devices are this, laptop, t4"):
        find_device("H20")


def test_half_precision_has_a_speed_of_its_own():
    assert T4.peak_flops() == T4.peak and T4.peak_flops("float16") == 65e12
    assert all(device.peak_flops("float16") > device.peak for device in DEVICES.values() if device.kind == "cuda")
    assert DEVICES["a100"].peak_flops("bfloat16") == DEVICES["a100"].peak_flops("float16") == 312e12
    with pytest.raises(UserError, match="NVIDIA T4 can only emulate bfloat16; plan for float16 there"):
        T4.peak_flops("bfloat16")
    with pytest.raises(UserError, match="a laptop with 16 GB has no units for float16; plan for float32 there"):
        DEVICES["laptop"].peak_flops("float16")
    with pytest.raises(UserError, match="no precision 'fp16'; choose one of float32, bfloat16, float16"):
        T4.peak_flops("fp16")


@pytest.mark.parametrize(
    ("name", "units", "products", "gigahertz"),
    [
        ("t4", 320, 64, 1.59),
        ("l4", 232, 128, 2.04),
        ("rtx3090", 328, 64, 1.695),
        ("rtx4090", 512, 64, 2.52),
        ("a100", 432, 256, 1.41),
        ("h100", 528, 512, 1.83),  # the tensor cores' clock
        ("h200", 528, 512, 1.83),
    ],
)
def test_the_tensor_cores_of_the_data_sheets_multiply_out(name, units, products, gigahertz):
    assert DEVICES[name].half_peak == pytest.approx(units * products * 2 * gigahertz * 1e9, rel=0.005)


def test_a_device_is_known_by_what_its_driver_calls_it():
    names = {
        "Tesla T4": "t4",
        "NVIDIA A100-SXM4-40GB": "a100",
        "NVIDIA H100 80GB HBM3": "h100",
        "NVIDIA GeForce RTX 4090": "rtx4090",
        "NVIDIA L4": "l4",
    }
    assert {name: match_device(name) for name in names} == {name: DEVICES[short] for name, short in names.items()}
    others = ("NVIDIA L40", "NVIDIA H100 PCIe", "NVIDIA GeForce RTX 3090 Ti", "AMD EPYC, 2 threads")
    assert not any(map(match_device, others))


def test_this_device():
    device = detect_device()
    assert device.memory > 10**8 and device.peak > 10**8
    assert find_device("this").name == device.name
    assert main_memory() > 10**8
    assert measure_matmul_flops("cpu", size=64) > 10**6


def test_the_measured_speed_leaves_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert measure_training_flops(CONFIG, batch_size=2) > 0
    assert torch.equal(torch.rand(2), expected)


def test_numbers_can_be_read():
    assert [format_bytes(n) for n in (12, 3_000, 1_234_567, 87_654_321, 141e9)] == [
        "12 bytes",
        "3 kB",
        "1.23 MB",
        "87.7 MB",
        "141 GB",
    ]
    assert [format_duration(t) for t in (0.5, 12, 90, 9000, 200_000, 1e9)] == [
        "0.5 seconds",
        "12 seconds",
        "1.5 minutes",
        "2.5 hours",
        "2.31 days",
        "31.7 years",
    ]
