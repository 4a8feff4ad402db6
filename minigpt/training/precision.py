"""The number format that a model computes in: float32, or half as many bits where the device has units for them.

The weights stay in float32. Autocast (Micikevicius et al., 2018) rounds the operands of the matrix products to the
shorter format, and keeps sums that need more digits, such as the softmax and the loss, in float32.
"""

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_precision(device: torch.device) -> str:
    """Return the fastest format that a device computes in by itself.

    bfloat16 on NVIDIA's GPUs from Ampere on (capability 8.0); float16 on older ones, such as a T4, which only emulate
    bfloat16; float32 on the CPU and on Apple's MPS.
    """
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


class Precision:
    """How the steps of a run compute: in which format, and with a scaled loss where that format needs it.

    float16 has no numbers below 6e-8, where many gradients lie. So the loss is multiplied by a large scale before the
    backward pass, and the gradient divided by it before the update; a scale too large shows as an infinite gradient.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = pick_precision(device) if name == "auto" else name
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.name == "float16")

    def autocast(self) -> AbstractContextManager:
        """Return a block in which matrix products are computed in this format."""
        return torch.autocast(self.device.type, FORMATS[self.name], enabled=self.name != "float32")

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
