"""The number format that a model computes in, and PyTorch's compiler.

The weights stay in float32. Autocast (Micikevicius et al., 2018) rounds the operands of the matrix products to the
shorter format, and keeps sums that need more digits, such as the softmax and the loss, in float32.
"""

import math
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch import Tensor, nn

from minigpt.utils.errors import UserError
from minigpt.utils.machine import DTYPES, default_precision


class Precision:
    """How the steps of a run compute: in which format, and with a scaled loss where that format needs it.

    float16 has no numbers below 6e-8, where many gradients lie. So the loss is multiplied by a large scale before the
    backward pass, and the gradient divided by it before the update; a scale too large shows as an infinite gradient.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = default_precision(device) if name == "auto" else name
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.name == "float16")

    def autocast(self) -> AbstractContextManager:
        """Return a block in which matrix products are computed in this format."""
        return torch.autocast(self.device.type, DTYPES[self.name], enabled=self.name != "float32")

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of the scaled loss to the parameters."""
        self.scaler.scale(loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients by the scale, so that they can be looked at and clipped."""
        self.scaler.unscale_(optimizer)

    def overflowed(self, gradient_norm: float) -> bool:
        """Return whether a gradient is infinite only because the scale was too large for it."""
        return self.scaler.is_enabled() and not math.isfinite(gradient_norm) and self.scaler.get_scale() > 1

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Update the weights, unless the gradient has overflowed; then halve the scale instead."""
        self.scaler.step(optimizer)
        self.scaler.update()


def compile_model(network: nn.Module) -> nn.Module:
    """Return the network as a program; the translation itself takes place in its first forward pass, and takes a while.

    Raises:
        UserError: PyTorch cannot compile here, for lack of a compiler for the device.
    """
    device = next(network.parameters()).device
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(1, device=device))
    except Exception as error:  # whatever is missing, each backend says it in its own way
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"torch.compile does not work here ({reason}); leave out compile.") from None
    return cast(nn.Module, torch.compile(network))
