"""Causal self-attention: the formula as functions, and the layer that splits channels into heads.

Shapes: B batch, T time, C width, H heads, D = C/H width of a head.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Attend = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor | None]]


def attend_naive(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention as the formula says it, with a causal mask (Vaswani et al., 2017, equation 1).

    q, k, v: (B, H, T, D). Returns the mixed values (B, H, T, D) and the weights (B, H, T, T).
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, T)
    future = torch.ones(q.size(-2), k.size(-2), dtype=torch.bool, device=q.device).triu(1)
    weights = scores.masked_fill(future, -math.inf).softmax(dim=-1)
    return weights @ v, weights


def attend_sdpa(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, None]:
    """The same result from PyTorch's fused kernel, which never stores the weights (Dao et al., 2022)."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True), None


ATTENDS: dict[str, Attend] = {"naive": attend_naive, "sdpa": attend_sdpa}


class Attention(nn.Module):
    """Multi-head causal self-attention.

    `attend` is the formula to use: a function of q, k and v that returns the mixed values, and the weights or None.
    Dropout acts on the output only, not on the weights, so that the fused kernel can be used in training too.
    """

    def __init__(
        self, width: int, n_head: int, bias: bool = True, dropout: float = 0.0, attend: Attend = attend_sdpa
    ) -> None:
        super().__init__()
        self.n_head = n_head
        self.attend = attend
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.weights = nn.Identity()  # the weights pass through here, so that a hook can see them
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        q, k, v = (self.split_heads(part) for part in self.qkv(x).chunk(3, dim=-1))  # each (B, H, T, D)
        y, weights = self.attend(q, k, v)  # (B, H, T, D)
        self.weights(weights)
        return self.dropout(self.out(self.join_heads(y)))

    def split_heads(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, H, T, D)
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

    def join_heads(self, x: Tensor) -> Tensor:  # (B, H, T, D) -> (B, T, C)
        return x.transpose(1, 2).flatten(2)
