"""Attention in tiles: exact, but without ever holding the matrix of all scores (Dao et al., 2022; Dao, 2023).

Shapes: B batch, H heads, D width of a head, N queries, M keys; R rows and S columns of a tile.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE_SIZE = 64


def tiled_attention(
    q: Tensor, k: Tensor, v: Tensor, attn_bias: Tensor | None = None, *, tile: int = TILE_SIZE
) -> tuple[Tensor, None]:
    """The result of `naive_attention` from tiles of the scores, so that memory grows with the length, not its square.

    q, k, v: (B, H, T, D); q may be shorter, and then stands at the end of the text. The bias gets no gradient.
    """
    if attn_bias is None:
        attn_bias = q.new_zeros(1, 1, 1).expand(1, q.size(-2), k.size(-2))
    with torch.autocast(q.device.type, enabled=False):  # sums over many tiles need more than half precision
        exact = torch.promote_types(q.dtype, torch.float32)
        y = FlashAttentionFunction.apply(q.to(exact), k.to(exact), v.to(exact), attn_bias, tile)
    return y.type_as(v), None


class FlashAttentionFunction(torch.autograd.Function):
    """Causal attention that keeps one number for each query, and computes the scores again in the backward pass."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, attn_bias: Tensor, tile: int) -> Tensor:
        y, lse = torch.empty_like(q), q.new_empty(*q.shape[:-1], 1)  # (B, H, N, D), (B, H, N, 1)
        for rows in tiles(q.size(-2), tile):
            row_max = torch.full_like(lse[:, :, rows], -math.inf)  # the largest score so far
            row_sum = torch.zeros_like(row_max)  # the sum of exp(score - row_max) so far
            acc = torch.zeros_like(q[:, :, rows])  # the sum of exp(score - row_max) times value so far
            for columns in visible_tiles(rows, q, k, tile):
                scores = score_tile(q, k, attn_bias, rows, columns)  # (B, H, R, S)
                new_max = torch.maximum(row_max, scores.amax(dim=-1, keepdim=True))
                rescale, weights = (row_max - new_max).exp(), (scores - new_max).exp()
                row_sum = row_sum * rescale + weights.sum(dim=-1, keepdim=True)
                acc = acc * rescale + weights @ v[:, :, columns]
                row_max = new_max
            y[:, :, rows], lse[:, :, rows] = acc / row_sum, row_max + row_sum.log()
        ctx.save_for_backward(q, k, v, attn_bias, y, lse)
        ctx.tile = tile
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, attn_bias, y, lse = ctx.saved_tensors
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        delta = (dy * y).sum(dim=-1, keepdim=True)  # (B, H, N, 1): what the softmax takes off every score's gradient
        for rows in tiles(q.size(-2), ctx.tile):
            for columns in visible_tiles(rows, q, k, ctx.tile):
                scores = score_tile(q, k, attn_bias, rows, columns)
                weights = (scores - lse[:, :, rows]).exp()  # (B, H, R, S)
                dweights = dy[:, :, rows] @ v[:, :, columns].mT
                dscores = weights * (dweights - delta[:, :, rows]) / math.sqrt(q.size(-1))
                dq[:, :, rows] += dscores @ k[:, :, columns]
                dk[:, :, columns] += dscores.mT @ q[:, :, rows]
                dv[:, :, columns] += weights.mT @ dy[:, :, rows]
        return dq, dk, dv, None, None


def tiles(length: int, tile: int) -> Iterator[slice]:
    """Cut a length into slices of at most `tile`."""
    return (slice(start, min(start + tile, length)) for start in range(0, length, tile))


def visible_tiles(rows: slice, q: Tensor, k: Tensor, tile: int) -> Iterator[slice]:
    """Cut the keys that at least one of these queries sees into slices."""
    return tiles(k.size(-2) - q.size(-2) + rows.stop, tile)


def score_tile(q: Tensor, k: Tensor, attn_bias: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return the scores of some queries with some keys, (B, H, R, S), the future masked."""
    scores = q[:, :, rows] @ k[:, :, columns].mT / math.sqrt(q.size(-1)) + attn_bias[..., rows, columns]
    first_unseen = k.size(-2) - q.size(-2) + rows.start + 1 - columns.start
    causal_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(first_unseen)
    return scores.masked_fill(causal_mask, -math.inf)
