"""Shorter numbers: chosen by what the device does best, close to float32, and safe where they overflow."""

import math
from types import SimpleNamespace

import pytest
import torch

from minigpt import GPT, GPTConfig, Trainer, UserError, checkpoint, read_run
from minigpt.training.precision import Precision
from minigpt.utils.machine import default_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_cuda_gets_bfloat16_where_it_is_not_emulated(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert default_precision(torch.device("cuda")) == expected


@pytest.mark.parametrize(("card", "major", "expected"), [("T4", 7, "float16"), ("A100", 8, "bfloat16")])
def test_each_card_gets_what_it_multiplies_fast(monkeypatch, card, major, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name=card, major=major))
    assert default_precision(torch.device("cuda")) == expected


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_other_devices_stay_with_float32(device):
    assert default_precision(torch.device(device)) == "float32"


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_matrix_products_are_in_the_format_and_sums_are_not(name):
    x = torch.rand(3, 3)
    with Precision(name, CPU).autocast():
        assert str((x @ x).dtype) == f"torch.{name}"
        assert torch.nn.functional.cross_entropy(x @ x, torch.arange(3)).dtype == torch.float32


def test_a_scaled_gradient_is_the_gradient_once_it_is_unscaled():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision = Precision("float16", CPU)
    precision.backward((weight * torch.tensor([3.0, 5.0])).sum())
    assert weight.grad[0] > 1000
    precision.unscale(optimizer)
    assert weight.grad.tolist() == [3.0, 5.0]
    precision.step(optimizer)
    assert weight.tolist() == [-2.0, -3.0]


def test_a_gradient_too_small_for_float16_survives_the_scale():
    tiny = torch.tensor(1e-9)
    assert tiny.half() == 0
    weight = torch.nn.Parameter(torch.tensor(1.0))
    precision = Precision("float16", CPU)
    precision.backward((weight.half() * 1.0).float() * tiny)
    precision.unscale(torch.optim.SGD([weight]))
    assert weight.grad.item() == pytest.approx(1e-9, rel=1e-3)


def test_a_step_that_overflows_is_left_out_and_the_scale_halved():
    weight = torch.nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision = Precision("float16", CPU)
    scale = precision.scaler.get_scale()
    precision.backward((weight.half() * 60_000).float())
    precision.unscale(optimizer)
    norm = weight.grad.item()
    assert math.isinf(norm) and precision.overflowed(norm)
    precision.step(optimizer)
    assert weight.item() == 1.0
    assert precision.scaler.get_scale() == scale / 2


def test_without_a_scale_nothing_overflows_for_its_sake():
    assert not Precision("float32", CPU).overflowed(math.inf)
    assert not Precision("bfloat16", CPU).overflowed(math.nan)


def test_an_unknown_format_is_named(train_config):
    with pytest.raises(UserError, match="precision = 'fp8' must be one of auto, float32, bfloat16, float16"):
        train_config.replace(precision="fp8")


# --- in training


@pytest.fixture
def make_trainer(tokenizer, data, train_config):
    def make(folder=None, **changes) -> Trainer:
        torch.manual_seed(0)
        sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}
        model = GPT(GPTConfig(**sizes, dropout=0.1))
        settings = train_config.replace(**changes)
        return Trainer(model, data, settings, tokenizer=tokenizer, folder=folder, device="cpu")

    return make


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_a_run_in_short_numbers_stays_close_to_float32(make_trainer, name):
    exact = [record.loss for record in make_trainer().run()]
    short = [record.loss for record in make_trainer(precision=name).run()]
    assert short != exact
    assert short == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_the_weights_stay_in_float32(make_trainer, name, tmp_path):
    trainer = make_trainer(tmp_path / "run", precision=name, max_steps=2)
    list(trainer.run())
    assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in checkpoint.load(tmp_path / "run").model.parameters()} == {torch.float32}
    assert read_run(tmp_path / "run" / "log.jsonl").header["precision"] == name


def test_an_overflow_costs_a_step_and_not_the_run(make_trainer):
    trainer = make_trainer(precision="float16")
    trainer.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    records = trainer.run()
    first = next(records)
    assert not math.isfinite(first.gradient_norm)
    assert all(map(torch.equal, before, trainer.model.parameters()))
    assert math.isfinite(list(records)[-1].loss)


def test_a_loss_that_is_no_number_ends_the_run_once_the_scale_has_nothing_left(make_trainer):
    trainer = make_trainer(precision="float16", max_steps=100, sample_every=0)
    with torch.no_grad():
        trainer.model.lm_head.weight[0] = math.nan
    with pytest.raises(UserError, match="At step 17, .* the loss is nan"):
        list(trainer.run())


def test_a_run_in_float16_that_was_interrupted_goes_on_to_the_bit(make_trainer, data, tmp_path):
    straight = [record.loss for record in make_trainer(precision="float16").run()]
    broken = make_trainer(tmp_path / "run", precision="float16").run()
    losses = [next(broken).loss for _ in range(4)]
    trainer = Trainer.resume(tmp_path / "run", data, device="cpu")
    assert trainer.precision.scaler.get_scale() == 2.0**16
    assert losses + [record.loss for record in trainer.run()] == straight


def test_a_run_can_go_on_in_another_format(make_trainer, data, tmp_path):
    run = make_trainer(tmp_path / "run").run()
    for _ in range(4):
        next(run)
    trainer = Trainer.resume(tmp_path / "run", data, device="cpu", changes={"precision": "float16"})
    assert trainer.precision.scaler.is_enabled()
    assert len(list(trainer.run())) == 8
