"""Kernels for weights of one byte: close to the model, on its own copy, and refused where there are none."""

import pytest
import torch

from comparing import one_text
from minigpt import UserError, asset_path, checkpoint, generate, quantize_dynamic_int8
from minigpt.generation.generate import supports_kv_cache
from minigpt.generation.sampling import Sampler
from minigpt.model.quantization import Int8Linear, quantize_int8


def test_a_layer_computes_with_the_rounded_weights():
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 48)
    x = torch.randn(2, 5, 64)
    weights = quantize_int8(layer.weight.detach()).dequantize()
    exact = torch.nn.functional.linear(x, weights, layer.bias)
    step = (x.max() - x.min()) / 127  # what comes in has seven bits
    difference = (Int8Linear(layer)(x) - exact).abs()
    assert difference.max() > 0
    assert (difference <= weights.abs().sum(dim=1) * step).all()
    assert difference.mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("changes", [{}, {"tie_weights": True}, {"bias": False, "mlp": "swiglu"}])
@torch.no_grad()
def test_the_copy_is_close_and_the_model_stays_as_it_was(make_model, changes):
    model = make_model(**changes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = torch.arange(8).unsqueeze(0)
    copy = quantize_dynamic_int8(model)
    difference = (copy(ids) - model(ids)).abs().mean()
    assert 0 < difference < 0.1 * model(ids).std()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(copy.token_embedding.weight, model.token_embedding.weight)
    assert not any(isinstance(part, torch.nn.Linear) for part in copy.modules())


def test_the_copy_writes_with_a_cache(model):
    copy = quantize_dynamic_int8(model)
    assert supports_kv_cache(copy)
    assert len(one_text(copy, [1, 2], Sampler(temperature=0), 12)) == 12


def test_the_shipped_model_still_writes_text():
    model, tokenizer = checkpoint.load(asset_path("checkpoints/tiny"))
    text = generate(quantize_dynamic_int8(model), tokenizer, "ROMEO:", max_new_tokens=20, temperature=0)
    assert text.startswith("ROMEO:") and len(text) == 26


def test_a_model_that_the_kernel_cannot_take_is_refused(model):
    with pytest.raises(
        UserError, match=r"The model is in torch.bfloat16 on cpu, .* call model.cpu\(\).float\(\) first"
    ):
        quantize_dynamic_int8(model.bfloat16())
    model.float().lm_head.weight.data[0, 0] = float("inf")
    with pytest.raises(UserError, match=r"lm_head.weight contains NaN or inf"):
        quantize_dynamic_int8(model)


def test_a_build_without_the_kernel_is_named(model, monkeypatch):
    monkeypatch.delattr(torch, "quantize_per_channel")
    with pytest.raises(UserError, match="no kernel for weights of one byte"):
        quantize_dynamic_int8(model)
