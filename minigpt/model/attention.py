"""Causal self-attention: the formula as functions, and the layer that splits the embedding into heads.

Shapes: B batch, T time, C embedding dimension, H heads, G KV heads, D = C/H dimension of a head.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.model.flash_attention import tiled_attention
from minigpt.model.kv_cache import KVCache
from minigpt.model.position import PositionEmbedding

AttentionFn = Callable[..., tuple[Tensor, Tensor | None]]  # of q, k, v and, where there is one, the attn_bias


def naive_attention(q: Tensor, k: Tensor, v: Tensor, attn_bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention as the formula says it, with a causal mask (Vaswani et al., 2017, equation 1).

    q, k, v: (B, H, T, D); q may be shorter, and then stands at the end of the text. `attn_bias`, (B, H, T, T) or
    without B or H, is added to the scores. Returns the mixed values, shaped like q, and the weights (B, H, T, T).
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, T)
    if attn_bias is not None:
        scores = scores + attn_bias
    weights = scores.masked_fill(_causal_mask(q, k), -math.inf).softmax(dim=-1)
    return weights @ v, weights


def sdpa_attention(q: Tensor, k: Tensor, v: Tensor, attn_bias: Tensor | None = None) -> tuple[Tensor, None]:
    """The same result from PyTorch's fused kernel, which never stores the weights (Dao et al., 2022)."""
    if attn_bias is None and q.size(-2) in (1, k.size(-2)):  # no mask has to be built; a single query sees every key
        return F.scaled_dot_product_attention(q, k, v, is_causal=q.size(-2) > 1), None
    mask = q.new_zeros(1, 1, 1, 1) if attn_bias is None else attn_bias
    mask = mask.masked_fill(_causal_mask(q, k), -math.inf).type_as(q)
    mask = mask[(None,) * (4 - mask.dim())]  # the kernel wants four dimensions
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask), None


def _causal_mask(q: Tensor, k: Tensor) -> Tensor:
    """Return True where a key comes after the query, (T of q, T of k); the last query stands at the last key."""
    n_query, n_key = q.size(-2), k.size(-2)
    return torch.ones(n_query, n_key, dtype=torch.bool, device=q.device).triu(1 + n_key - n_query)


ATTENTION_FUNCTIONS: dict[str, AttentionFn] = {
    "naive": naive_attention,
    "sdpa": sdpa_attention,
    "tiled": tiled_attention,
}


class CausalSelfAttention(nn.Module):
    """Multi-head causal self-attention.

    `attn_impl` is a function of q, k and v, and of an `attn_bias` where the positions bring one, that returns the mixed
    values, and the weights or None. Dropout acts on the output only, not on the weights, so that the fused kernel can
    be used in training too. With fewer KV heads than heads, each serves a group of neighboring heads (Ainslie et al.,
    2023). `qk_norm(D)` makes a norm for the queries and the keys of each head (Henry et al., 2020).
    """

    def __init__(
        self,
        dim: int,
        n_head: int,
        bias: bool = True,
        dropout: float = 0.0,
        attn_impl: AttentionFn = sdpa_attention,
        *,
        n_kv_head: int | None = None,
        qk_norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.n_head, self.n_kv_head = n_head, n_kv_head or n_head
        self.head_dim = dim // n_head
        self.n_rep = n_head // self.n_kv_head
        self.attn_impl = attn_impl
        self.qkv = nn.Linear(dim, (n_head + 2 * self.n_kv_head) * self.head_dim, bias=bias)
        self.q_norm = qk_norm(self.head_dim) if qk_norm else nn.Identity()
        self.k_norm = qk_norm(self.head_dim) if qk_norm else nn.Identity()
        self.out = nn.Linear(dim, dim, bias=bias)
        self.weights = nn.Identity()  # the weights pass through here, so that a hook can see them
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, position: PositionEmbedding | None = None, kv_cache: KVCache | None = None
    ) -> Tensor:  # (B, T, C) -> (B, T, C)
        q, k, v = self.split_heads(self.qkv(x)).split([self.n_head, self.n_kv_head, self.n_kv_head], dim=1)
        q, k = self.q_norm(q), self.k_norm(k)  # (B, H, T, D), (B, G, T, D)
        offset = 0 if kv_cache is None else len(kv_cache)
        if position is not None:
            q, k = position.apply_rotary(q, offset), position.apply_rotary(k, offset)
        if kv_cache is not None:
            k, v = kv_cache.update(k, v)  # (B, G, offset + T, D)
        k, v = self.repeat_kv(k), self.repeat_kv(v)  # (B, H, offset + T, D)
        attn_bias = None if position is None else position.attn_bias(q.size(-2), k.size(-2))
        if attn_bias is None:
            y, weights = self.attn_impl(q, k, v)  # (B, H, T, D)
        else:
            y, weights = self.attn_impl(q, k, v, attn_bias)
        self.weights(weights)
        return self.dropout(self.out(self.merge_heads(y)))

    def split_heads(self, x: Tensor) -> Tensor:  # (B, T, H·D) -> (B, H, T, D)
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def repeat_kv(self, x: Tensor) -> Tensor:  # (B, G, T, D) -> (B, H, T, D)
        return x if self.n_rep == 1 else x.unsqueeze(2).expand(-1, -1, self.n_rep, -1, -1).flatten(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:  # (B, H, T, D) -> (B, T, C)
        return x.transpose(1, 2).flatten(2)

    def make_kv_cache(self, batch_size: int, max_seq_len: int, device: torch.device, dtype: torch.dtype) -> KVCache:
        """Return an empty cache for this layer, with room for `max_seq_len` tokens."""
        return KVCache(batch_size, self.n_kv_head, max_seq_len, self.head_dim, device=device, dtype=dtype)
