"""Weights in fewer bits: the error is at most half a step, and what cannot be stored is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import UserError
from minigpt.model.quantization import INT8_MAX, fake_quantize, quantize_fp16, quantize_int8, quantize_weights


@given(
    rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 999), size=st.sampled_from([1e-6, 1, 1e6])
)
def test_int8_is_off_by_half_a_step_at_most(rows, columns, seed, size):
    tensor = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size
    stored = quantize_int8(tensor)
    assert stored.values.dtype == torch.int8 and stored.values.abs().max() <= INT8_MAX
    error = (stored.dequantize() - tensor).abs()
    assert (error <= stored.scales.unsqueeze(1) * 0.5001).all()
    largest = tensor.abs() == tensor.abs().amax(dim=1, keepdim=True)
    assert torch.allclose(stored.dequantize()[largest], tensor[largest])


def test_a_row_of_zeros_stays_one():
    assert (quantize_int8(torch.zeros(2, 3)).dequantize() == 0).all()


def test_fp16_is_what_torch_makes_of_it():
    tensor = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(quantize_fp16(tensor).dequantize(), tensor.half().float())


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_rounded_model_is_close_and_the_model_itself_stays_as_it_was(make_model, precision):
    model = make_model(tie_weights=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    close = fake_quantize(model, precision)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert close.lm_head.weight is close.token_embedding.weight
    ids = torch.arange(8).unsqueeze(0)
    error = (close(ids) - model(ids)).abs().max().item()
    assert 0 < error < (0.5 if precision == "int8" else 0.05)


def test_vectors_are_kept_as_they_are(model):
    stored = quantize_weights(model, "int8")
    assert torch.equal(stored["final_norm.weight"].dequantize(), model.final_norm.weight)
    assert stored["final_norm.weight"].scales is None


def test_a_number_that_does_not_fit_is_named(model):
    model.token_embedding.weight.data[0, 0] = 1e6
    quantize_weights(model, "int8")
    with pytest.raises(UserError, match=r"^token_embedding\.weight holds a number that fp16 cannot; go back"):
        quantize_weights(model, "fp16")
    model.final_norm.bias.data[0] = float("nan")
    with pytest.raises(UserError, match=r"norm\.bias holds a number that int8 cannot"):
        quantize_weights(model, "int8")


def test_an_unknown_precision_is_named(model):
    with pytest.raises(UserError, match=r"no precision 'int4' to store in; choose one of int8, fp16"):
        quantize_weights(model, "int4")
