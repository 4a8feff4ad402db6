"""The forward pass of tiled attention as one program for a GPU, in Triton (Tillet et al., 2019; Dao, 2023).

It needs the package `triton`, which PyTorch for NVIDIA's cards brings along. Without a GPU, Triton's interpreter
runs the same program in Python: set TRITON_INTERPRET=1 before this module is imported.

Shapes: B batch, H heads, T time, D head_dim of a head; R rows and S columns of a tile.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from minigpt.utils.errors import UserError

TILE_SIZE = 64


@triton.jit
def _attention_kernel(
    q,  # where in memory the queries begin
    k,
    v,
    y,  # and where the result is to go
    length,
    scale,
    head_dim: tl.constexpr,
    padded: tl.constexpr,  # the head_dim, rounded up to a power of two
    tile: tl.constexpr,
):
    """Compute one row of tiles of one head: a turn of the outer loop."""
    first = tl.program_id(0) * tile
    head = tl.program_id(1).to(tl.int64) * length * head_dim  # where it begins in memory
    rows, channels = first + tl.arange(0, tile), tl.arange(0, padded)
    wanted = (rows[:, None] < length) & (channels[None, :] < head_dim)
    offsets_q = head + rows[:, None] * head_dim + channels[None, :]
    queries = tl.load(q + offsets_q, mask=wanted, other=0.0)  # (R, D)
    row_max = tl.full((tile,), -math.inf, tl.float32)
    row_sum = tl.zeros((tile,), tl.float32)
    acc = tl.zeros((tile, padded), tl.float32)
    for left in range(0, tl.minimum(first + tile, length), tile):
        columns = left + tl.arange(0, tile)
        there = (columns[:, None] < length) & (channels[None, :] < head_dim)
        offsets = head + columns[:, None] * head_dim + channels[None, :]
        keys = tl.load(k + offsets, mask=there, other=0.0)  # (S, D)
        values = tl.load(v + offsets, mask=there, other=0.0)  # (S, D)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(columns[None, :] <= rows[:, None], scores, -math.inf)
        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        rescale, weights = tl.exp(row_max - new_max), tl.exp(scores - new_max[:, None])
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        weights = weights.to(values.dtype)  # (R, S)
        gained = tl.dot(weights, values, input_precision="ieee")  # (R, D)
        acc = acc * rescale[:, None] + gained
        row_max = new_max
    tl.store(y + offsets_q, (acc / row_sum[:, None]).to(queries.dtype), mask=wanted)


def triton_attention(q: Tensor, k: Tensor, v: Tensor, attn_bias: None = None) -> tuple[Tensor, None]:
    """The result of `naive_attention`, computed by one kernel. q, k, v: (B, H, T, D), without gradients.

    Raises:
        UserError: gradients are wanted, or q, k and v differ in shape.
    """
    wanted = torch.is_grad_enabled() and any(each.requires_grad for each in (q, k, v))
    if wanted:
        raise UserError("triton_attention has no backward pass; call it inside `with torch.no_grad():`.")
    if not q.shape == k.shape == v.shape:
        raise UserError(
            f"triton_attention takes q, k and v of one shape, not {tuple(q.shape)}, {tuple(k.shape)}, "
            f"{tuple(v.shape)}; "
            "take tiled_attention for these."
        )
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    length, head_dim = q.shape[-2:]
    y = torch.empty_like(q)
    grid = (triton.cdiv(length, TILE_SIZE), q.numel() // (length * head_dim))
    padded = max(16, triton.next_power_of_2(head_dim))  # the smallest tile that tensor cores multiply is 16 wide
    _attention_kernel[grid](q, k, v, y, length, 1 / math.sqrt(head_dim), head_dim, padded, TILE_SIZE)
    return y, None
