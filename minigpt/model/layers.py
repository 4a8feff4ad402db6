"""The layers of a block besides attention: normalisation and the MLP.

Shapes: B batch, T time, C width, F hidden width of the MLP.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.config import GPTConfig


class LayerNorm(nn.Module):
    """Give every position mean 0 and variance 1 across its channels, then scale and shift (Ba et al., 2016)."""

    def __init__(self, dim: int, bias: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """Give every position a root mean square of 1 across its channels, then scale (Zhang and Sennrich, 2019).

    It neither subtracts the mean nor adds a bias.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:  # (..., C) -> (..., C)
        return F.rms_norm(x, self.weight.shape, self.weight.type_as(x), self.eps)


class MLP(nn.Module):
    """Widen every position to F channels, bend with GELU, and come back (Hendrycks and Gimpel, 2016)."""

    def __init__(self, dim: int, hidden_dim: int, bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.up = nn.Linear(dim, hidden_dim, bias=bias)
        self.down = nn.Linear(hidden_dim, dim, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.gelu(self.up(x), approximate="tanh")  # (B, T, F)
        return self.dropout(self.down(hidden))  # (B, T, C)


class SquaredReLUMLP(MLP):
    """The MLP with max(0, x)² in place of GELU (So et al., 2021)."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.up(x)).square()  # (B, T, F)
        return self.dropout(self.down(hidden))  # (B, T, C)


class SwiGLU(nn.Module):
    """An MLP with a gate: one half of the hidden layer decides how much of the other passes (Shazeer, 2020).

    It has three matrices where `MLP` has two: at two thirds of the hidden width, as many parameters.
    """

    def __init__(self, dim: int, hidden_dim: int, bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, hidden_dim, bias=bias)
        self.up = nn.Linear(dim, hidden_dim, bias=bias)
        self.down = nn.Linear(hidden_dim, dim, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.silu(self.gate(x)) * self.up(x)  # (B, T, F)
        return self.dropout(self.down(hidden))  # (B, T, C)


# Each is called with the configuration.
NORMS: dict[str, Callable[[GPTConfig], nn.Module]] = {
    "layernorm": lambda config: LayerNorm(config.n_embd, config.bias),
    "rmsnorm": lambda config: RMSNorm(config.n_embd),
}
MLPS: dict[str, Callable[[GPTConfig], nn.Module]] = {
    "gelu": lambda config: MLP(config.n_embd, config.hidden_dim, config.bias, config.dropout),
    "swiglu": lambda config: SwiGLU(config.n_embd, config.hidden_dim, config.bias, config.dropout),
    "relu2": lambda config: SquaredReLUMLP(config.n_embd, config.hidden_dim, config.bias, config.dropout),
}
