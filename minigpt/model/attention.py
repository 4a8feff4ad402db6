"""Causal self-attention: the formula as functions, and the layer that splits channels into heads.

Shapes: B batch, T time, C width, H heads, D = C/H width of a head, G heads of keys and values.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.model.flash_attention import tiled_attention
from minigpt.model.kv_cache import NO_CACHE, KVCache, NoCache
from minigpt.model.position import PositionEmbedding

AttentionFn = Callable[..., tuple[Tensor, Tensor | None]]  # of q, k, v and what is added to the scores, if anything


def naive_attention(q: Tensor, k: Tensor, v: Tensor, *bias: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention as the formula says it, with a causal mask (Vaswani et al., 2017, equation 1).

    q, k, v: (B, H, T, D); q may be shorter, and then stands at the end of the text. A bias is added to the scores.
    Returns the mixed values, shaped like q, and the weights (B, H, T, T).
    """
    scores = sum(bias, q @ k.transpose(-2, -1) / math.sqrt(q.size(-1)))  # (B, H, T, T)
    weights = scores.masked_fill(causal_mask(q, k), -math.inf).softmax(dim=-1)
    return weights @ v, weights


def sdpa_attention(q: Tensor, k: Tensor, v: Tensor, *bias: Tensor) -> tuple[Tensor, None]:
    """The same result from PyTorch's fused kernel, which never stores the weights (Dao et al., 2022)."""
    if q.size(-2) in (1, k.size(-2)) and not bias:  # no mask has to be built; a single query sees every key
        return F.scaled_dot_product_attention(q, k, v, is_causal=q.size(-2) > 1), None
    mask = sum(bias, q.new_zeros(1, 1, 1, 1)).masked_fill(
        causal_mask(q, k), -math.inf
    )  # the kernel wants four dimensions
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.type_as(q)), None


def causal_mask(q: Tensor, k: Tensor) -> Tensor:
    """Return which keys stand after each query, (T of q, T of k); the last query stands at the last key."""
    n_query, n_key = q.size(-2), k.size(-2)
    return torch.ones(n_query, n_key, dtype=torch.bool, device=q.device).triu(1 + n_key - n_query)


ATTENTION_FUNCTIONS: dict[str, AttentionFn] = {
    "naive": naive_attention,
    "sdpa": sdpa_attention,
    "tiled": tiled_attention,
}


class CausalSelfAttention(nn.Module):
    """Multi-head causal self-attention.

    `attend` is the formula to use: a function of q, k and v that returns the mixed values, and the weights or None.
    Dropout acts on the output only, not on the weights, so that the fused kernel can be used in training too.
    With fewer heads of keys and values than of queries, each serves a group of neighbouring heads (Ainslie et al.,
    2023). `make_qk_norm(D)` is a norm for the queries and the keys of each head (Henry et al., 2020).
    """

    def __init__(
        self,
        width: int,
        n_head: int,
        bias: bool = True,
        dropout: float = 0.0,
        attn_impl: AttentionFn = sdpa_attention,
        *,
        n_kv_head: int | None = None,
        make_qk_norm: Callable[[int], nn.Module] = nn.Identity,
    ) -> None:
        super().__init__()
        n_kv_head = n_kv_head or n_head
        self.head_dim = width // n_head
        self.group = n_head // n_kv_head
        self.attn_impl = attn_impl
        self.heads = [n_head, n_kv_head, n_kv_head]  # of queries, keys and values
        self.widths = [heads * self.head_dim for heads in self.heads]
        self.qkv = nn.Linear(width, sum(self.widths), bias=bias)
        self.q_norm, self.k_norm = make_qk_norm(self.head_dim), make_qk_norm(self.head_dim)
        self.out = nn.Linear(width, width, bias=bias)
        self.weights = nn.Identity()  # the weights pass through here, so that a hook can see them
        self.dropout = nn.Dropout(dropout)
        self.follow(PositionEmbedding())

    def follow(self, position: PositionEmbedding) -> None:
        """Take the rotation and the bias of a position scheme, which stays a part of the model, not of the layer."""
        self.rotate, self.attn_bias = position.rotate, position.attn_bias

    def make_kv_cache(self, batch_size: int, size: int, **place: Any) -> KVCache:
        """Return an empty cache for this layer, with room for `size` tokens; `place` is its device and its dtype."""
        return KVCache(batch_size, self.heads[1], size, self.head_dim, **place)

    def forward(self, x: Tensor, cache: KVCache | NoCache = NO_CACHE) -> Tensor:  # (B, T, C) -> (B, T, C)
        start = len(cache)
        q, k, v = self.split_heads(self.qkv(x)).split(self.heads, dim=1)
        q = self.rotate(self.q_norm(q), start)  # (B, H, T, D)
        k = self.rotate(self.k_norm(k), start)  # (B, G, T, D)
        k, v = (self.repeat_kv(part) for part in cache.append(k, v))  # (B, H, start + T, D)
        y, weights = self.attn_impl(q, k, v, *self.attn_bias(q.size(-2), k.size(-2)))  # (B, H, T, D)
        self.weights(weights)
        return self.dropout(self.out(self.merge_heads(y)))

    def split_heads(self, x: Tensor) -> Tensor:  # (B, T, H·D) -> (B, H, T, D)
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def repeat_kv(self, x: Tensor) -> Tensor:  # (B, G, T, D) -> (B, H, T, D)
        return x if self.group == 1 else x.unsqueeze(2).expand(-1, -1, self.group, -1, -1).flatten(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:  # (B, H, T, D) -> (B, T, C)
        return x.transpose(1, 2).flatten(2)
