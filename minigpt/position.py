"""Where the order of the tokens enters the model.

Attention alone cannot tell "dog bites man" from "man bites dog". Each scheme here adds a vector to the
token embeddings that says at which place a token stands.

Shapes: B batch, T time, C width.
"""

import math

import torch
from torch import Tensor, nn


class LearnedPosition(nn.Module):
    """Add a learned vector for each of `block_size` places (Radford et al., 2019)."""

    def __init__(self, block_size: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(block_size, width)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return x + self.table.weight[: x.size(1)]


class SinusoidalPosition(nn.Module):
    """Add fixed sines and cosines of geometrically spaced wavelengths (Vaswani et al., 2017, section 3.5).

    The embeddings are first multiplied by √C, as in section 3.4 there; at their initial size they would be drowned.
    """

    def __init__(self, block_size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", sinusoids(block_size, width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return x * math.sqrt(x.size(-1)) + self.table[: x.size(1)]


def sinusoids(block_size: int, width: int, longest: float = 10_000.0) -> Tensor:
    """Return the table of sinusoidal positions, (block_size, width): sines in even channels, cosines in odd."""
    time = torch.arange(block_size).unsqueeze(1)  # (T, 1)
    frequency = torch.exp(-math.log(longest) * torch.arange(0, width, 2) / width)  # (C/2,)
    angles = time * frequency  # (T, C/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :width]  # (T, C)


POSITIONS = {  # called with (block_size, width)
    "none": nn.Identity,  # the model then sees order only through the causal mask
    "learned": LearnedPosition,
    "sinusoidal": SinusoidalPosition,
}
