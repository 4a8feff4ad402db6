"""Linear layers that multiply whole numbers of one byte, with PyTorch's own kernel for the CPU.

Writing a text reads every weight once a token, and on a CPU it is the reading that takes the time: a weight of one
byte is read four times sooner than one of four. Shapes: R rows, C columns.
"""

import warnings
from copy import deepcopy

import torch
from torch import Tensor, nn

from minigpt.config import require
from minigpt.model import GPT
from minigpt.quantisation import row_steps


class Int8Linear(nn.Module):
    """A linear layer with weights of one byte and a step for each row; it rounds what comes in, too, at every call.

    The numbers that come in share one step, which follows from the smallest and the largest of them.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        steps = row_steps(layer.weight.detach())  # (R,)
        zeros = torch.zeros(len(steps), dtype=torch.long)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this way to the kernel will end one day, and `has_kernel` then says so
            numbers = torch.quantize_per_channel(layer.weight.detach(), steps, zeros, 0, torch.qint8)  # (R, C)
        self.packed = torch.ops.quantized.linear_prepack(numbers, layer.bias)

    def forward(self, x: Tensor) -> Tensor:  # (..., C) -> (..., R)
        return torch.ops.quantized.linear_dynamic(x, self.packed, reduce_range=True)  # so that no sum overflows


def has_kernel() -> bool:
    """Return whether PyTorch can multiply whole numbers of one byte here."""
    return torch.backends.quantized.engine != "none" and hasattr(torch, "quantize_per_channel")


def to_int8_kernels(model: GPT) -> GPT:
    """Return a copy of a model whose linear layers, the head among them, compute with weights of one byte.

    It writes several times sooner on a CPU and cannot be trained. Embeddings and norms keep float32. The weights are
    rounded as `rounded(model, "int8")` rounds them, and the activations are rounded besides.

    Raises:
        UserError: the model is not in float32 on the CPU, a weight is not a number, or PyTorch has no such kernel here.
    """
    place, dtype = model.token.weight.device.type, model.token.weight.dtype
    require(
        place == "cpu" and dtype == torch.float32,
        f"The model is in {dtype} on {place}, but the kernel for one byte needs float32 on the CPU; call "
        "model.cpu().float() first.",
    )
    require(has_kernel(), "This PyTorch has no kernel for weights of one byte; write with the model as it is.")
    copy = deepcopy(model).eval().requires_grad_(False)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            finite = bool(layer.weight.isfinite().all())
            require(finite, f"{name}.weight holds a number that is none; go back to an earlier checkpoint.")
            copy.set_submodule(name, Int8Linear(layer))
    return copy
