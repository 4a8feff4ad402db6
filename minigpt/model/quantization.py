"""Weights in fewer bits: int8 with a scale for each row, fp16, PyTorch's int8 kernel, and the layout for decoding.

Shapes: R rows, C columns.
"""

import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minigpt.model.gpt import GPT
from minigpt.utils.errors import UserError

INT8_MAX = 127  # of the whole numbers of one byte, the same on both sides of zero


class QuantizedTensor(NamedTuple):
    """A tensor as it is stored: values of its shape, and the scale of each row, (R,), where they are integers."""

    values: Tensor
    scales: Tensor | None = None

    def dequantize(self) -> Tensor:
        """Return the tensor that these values stand for, in float32."""
        values = self.values.float()
        return values if self.scales is None else values * self.scales.unsqueeze(1)


def _row_scales(tensor: Tensor) -> Tensor:
    """Return the steps, (R,), that divide each row of a matrix, (R, C), into 255 numbers and keep its largest."""
    largest = tensor.abs().amax(dim=1)  # (R,)
    return torch.where(largest > 0, largest, 1.0) / INT8_MAX


def quantize_int8(tensor: Tensor) -> QuantizedTensor:
    """Round a matrix to 255 numbers, row by row."""
    steps = _row_scales(tensor)
    return QuantizedTensor((tensor / steps.unsqueeze(1)).round().to(torch.int8), steps)


def quantize_fp16(tensor: Tensor) -> QuantizedTensor:
    """Round to floating point of two bytes, with about three decimal places."""
    return QuantizedTensor(tensor.half())


QUANTIZERS: dict[str, Callable[[Tensor], QuantizedTensor]] = {"int8": quantize_int8, "fp16": quantize_fp16}


def quantize_weights(model: GPT, precision: str) -> dict[str, QuantizedTensor]:
    """Return all parameters as they are stored, by name; biases and norms, which are vectors, keep float32.

    Raises:
        UserError: there is no such precision, or a weight is too large for it or not a number.
    """
    if precision not in QUANTIZERS:
        raise UserError(f"There is no precision {precision!r} to store in; choose one of {', '.join(QUANTIZERS)}.")
    found = {}
    for name, parameter in model.named_parameters():
        tensor = parameter.detach().float().cpu()
        found[name] = QUANTIZERS[precision](tensor) if tensor.dim() == 2 else QuantizedTensor(tensor)
        if not bool(tensor.isfinite().all() and found[name].dequantize().isfinite().all()):
            raise UserError(
                f"{name} holds a number that {precision} cannot; go back to an earlier checkpoint, or choose another "
                "precision."
            )
    return found


def fake_quantize(model: GPT, precision: str) -> GPT:
    """Return a copy of a model that computes with the weights that are stored.

    Raises:
        UserError: there is no such precision, or a weight is too large for it or not a number.
    """
    copy = deepcopy(model)
    for name, stored in quantize_weights(model, precision).items():
        copy.get_parameter(name).data = stored.dequantize().to(copy.get_parameter(name).device)
    return copy


class Int8Linear(nn.Module):
    """A linear layer with weights of one byte and a step for each row; it rounds what comes in, too, at every call.

    The numbers that come in share one step, which follows from the smallest and the largest of them.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        steps = _row_scales(layer.weight.detach())  # (R,)
        zeros = torch.zeros(len(steps), dtype=torch.long)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # this way to the kernel will end one day, and `_int8_kernel_available` then says so
            numbers = torch.quantize_per_channel(layer.weight.detach(), steps, zeros, 0, torch.qint8)  # (R, C)
        self.packed = torch.ops.quantized.linear_prepack(numbers, layer.bias)

    def forward(self, x: Tensor) -> Tensor:  # (..., C) -> (..., R)
        return torch.ops.quantized.linear_dynamic(x, self.packed, reduce_range=True)  # so that no sum overflows


def _int8_kernel_available() -> bool:
    """Return whether PyTorch can multiply whole numbers of one byte here."""
    return torch.backends.quantized.engine != "none" and hasattr(torch, "quantize_per_channel")


def quantize_dynamic_int8(model: GPT) -> GPT:
    """Return a copy of a model whose linear layers, the head among them, compute with weights of one byte.

    It writes several times sooner on a CPU and cannot be trained. Embeddings and norms keep float32. The weights are
    rounded as `rounded(model, "int8")` rounds them, and the activations are rounded besides.

    Raises:
        UserError: the model is not in float32 on the CPU, a weight is not a number, or PyTorch has no such kernel here.
    """
    place, dtype = model.token_embedding.weight.device.type, model.token_embedding.weight.dtype
    if place != "cpu" or dtype != torch.float32:
        raise UserError(
            f"The model is in {dtype} on {place}, but the kernel for one byte needs float32 on the CPU; call "
            "model.cpu().float() first."
        )
    if not _int8_kernel_available():
        raise UserError("This PyTorch has no kernel for weights of one byte; write with the model as it is.")
    copy = deepcopy(model).eval().requires_grad_(False)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            finite = bool(layer.weight.isfinite().all())
            if not finite:
                raise UserError(f"{name}.weight contains NaN or inf; go back to an earlier checkpoint.")
            copy.set_submodule(name, Int8Linear(layer))
    return copy


def to_decode_layout(model: GPT) -> GPT:
    """Return a copy of a model that writes sooner on a CPU: the same weights, some of them stored column by column.

    Those are the matrices of linear layers with more outputs than inputs, the head among them; a tied embedding
    follows its head.
    """
    copy = deepcopy(model).eval()
    for layer in copy.modules():
        if isinstance(layer, nn.Linear) and layer.out_features > layer.in_features:
            layer.weight.data = layer.weight.data.T.contiguous().T
    return copy
