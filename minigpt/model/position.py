"""Where the order of the tokens enters the model.

Attention alone cannot tell "dog bites man" from "man bites dog". A position scheme says at which place a token stands,
and there are three ways to do so: add a vector to the token's embedding, turn its queries and keys, or make its
scores depend on the distance. Each scheme overrides the method for its own.

Shapes: B batch, T time, C width, H heads, D = C/H width of a head.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minigpt.utils.errors import UserError

PADDING_SCORE = -1e4  # so low that the softmax of it is 0, and still a number in float16


class PositionEmbedding(nn.Module):
    """No positions: the model sees order only through the causal mask. The base of all schemes.

    `offset` is the position of the first token, which is not 0 where a cache holds the tokens before it.
    """

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        """Return the token embeddings with their positions: (B, T, C) -> (B, T, C)."""
        return x

    def apply_rotary(self, x: Tensor, offset: int = 0) -> Tensor:
        """Return queries or keys with their positions: (B, H, T, D) -> (B, H, T, D)."""
        return x

    def attn_bias(self, n_query: int, n_key: int) -> Tensor | None:
        """Return what is added to the scores, (H, n_query, n_key), or None; the last query has the last position."""
        return None


class LearnedPositionEmbedding(PositionEmbedding):
    """Add a learned vector for each of `block_size` places (Radford et al., 2019)."""

    def __init__(self, block_size: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(block_size, dim)

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:  # (B, T, C) -> (B, T, C)
        return x + self.table.weight[offset : offset + x.size(1)]


class SinusoidalPositionEmbedding(PositionEmbedding):
    """Add fixed sines and cosines of geometrically spaced wavelengths (Vaswani et al., 2017, section 3.5).

    The embeddings are first multiplied by √C, as in section 3.4 there; at their initial size they would be drowned.
    """

    table: Tensor

    def __init__(self, block_size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("table", sinusoidal_table(block_size, dim), persistent=False)

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:  # (B, T, C) -> (B, T, C)
        return x * math.sqrt(x.size(-1)) + self.table[offset : offset + x.size(1)]


class RotaryEmbedding(PositionEmbedding):
    """Turn each pair of channels of queries and keys by an angle that grows with the place (Su et al., 2021).

    Channel d of a head is paired with channel d + D/2, and pair d turns by base^(-2d/D) a place, in radians: then a
    score depends on the distance of query and key alone. `scaling_factor` divides all positions, so that a longer text
    takes the angles of a shorter one (Chen et al., 2023).

    Raises:
        UserError: the width of a head is odd.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, block_size: int, head_dim: int, base: float = 10_000.0, scaling_factor: float = 1.0) -> None:
        super().__init__()
        if head_dim % 2 != 0:
            raise UserError(
                f"Rotary positions turn pairs of channels, but n_embd / n_head = {head_dim} is odd; make it even."
            )
        frequency = base ** (-_exact_range(0, head_dim, 2) / head_dim)  # (D/2,)
        angles = _exact_range(block_size).unsqueeze(1) / scaling_factor * frequency  # (T, D/2)
        dtype = torch.get_default_dtype()
        cosine, sine = angles.cos().to(dtype), angles.sin().to(dtype)
        self.register_buffer("cosine", torch.cat((cosine, cosine), dim=-1), persistent=False)  # (T, D)
        self.register_buffer("sine", torch.cat((-sine, sine), dim=-1), persistent=False)  # (T, D)

    def apply_rotary(self, x: Tensor, offset: int = 0) -> Tensor:  # (B, H, T, D) -> (B, H, T, D)
        positions = slice(offset, offset + x.size(-2))
        partner = x.roll(x.size(-1) // 2, dims=-1)  # the other channel of each pair
        return x * self.cosine[positions] + partner * self.sine[positions]


class ALiBi(PositionEmbedding):
    """Lower every score in proportion to the distance, with a slope for each head: ALiBi (Press et al., 2022).

    The slopes are a geometric sequence from 2^(-8/H) to 2^-8; for a power of two, these are the paper's.
    """

    slopes: Tensor

    def __init__(self, n_head: int) -> None:
        super().__init__()
        slopes = 2.0 ** (-8 * _exact_range(1, n_head + 1) / n_head)  # (H,)
        self.register_buffer("slopes", slopes.to(torch.get_default_dtype()), persistent=False)

    def attn_bias(self, n_query: int, n_key: int) -> Tensor:
        position = torch.arange(n_key, device=self.slopes.device)
        distance = position[-n_query:].unsqueeze(1) - position  # (n_query, n_key), negative in the future
        return -self.slopes.view(-1, 1, 1) * distance  # (H, n_query, n_key)


class LeftPadded(PositionEmbedding):
    """Another scheme, for texts of unequal length: row b begins with `n_pad[b]` tokens that only fill it up.

    Positions count from the first token of the text itself, and no token sees the padding. What turns queries and keys,
    and what a scheme adds to scores, has to depend on distances alone, which padding leaves as they are.
    """

    def __init__(self, position: PositionEmbedding, n_pad: Sequence[int], like: Tensor) -> None:
        super().__init__()
        self.position = position
        self.n_pad = n_pad
        self.column = torch.tensor(n_pad, device=like.device).unsqueeze(1)  # (B, 1)
        self.dtype = like.dtype

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:  # (B, T, C) -> (B, T, C)
        rows = []
        for row, n_pad in zip(x.split(1), self.n_pad, strict=True):  # (1, T, C)
            start = max(0, n_pad - offset)  # where the text begins in these T tokens
            rows.append(torch.cat((row[:, :start], self.position(row[:, start:], max(0, offset - n_pad))), dim=1))
        return torch.cat(rows)

    def apply_rotary(self, x: Tensor, offset: int = 0) -> Tensor:  # (B, H, T, D) -> (B, H, T, D)
        return self.position.apply_rotary(x, offset)

    def attn_bias(self, n_query: int, n_key: int) -> Tensor:
        is_padding = torch.arange(n_key, device=self.column.device) < self.column  # (B, n_key)
        hiding = is_padding.to(self.dtype) * PADDING_SCORE
        hiding = hiding[:, None, None, :].expand(-1, -1, n_query, -1)  # (B, 1, n_query, n_key)
        bias = self.position.attn_bias(n_query, n_key)
        return hiding if bias is None else hiding + bias


def sinusoidal_table(block_size: int, dim: int, base: float = 10_000.0) -> Tensor:
    """Return the table of sinusoidal positions, (block_size, dim): sines in even channels, cosines in odd."""
    time = _exact_range(block_size).unsqueeze(1)  # (T, 1)
    frequency = torch.exp(-math.log(base) * _exact_range(0, dim, 2) / dim)  # (C/2,)
    angles = time * frequency  # (T, C/2)
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :dim]  # (T, C)
    return table.to(torch.get_default_dtype())


def _exact_range(*bounds: int) -> Tensor:
    """Return whole numbers in float32 at least: where the default is bfloat16, there are no odd ones above 256."""
    return torch.arange(*bounds, dtype=torch.promote_types(torch.get_default_dtype(), torch.float32))


POSITION_EMBEDDINGS = {  # called with the configuration
    "none": lambda config: PositionEmbedding(),
    "learned": lambda config: LearnedPositionEmbedding(config.block_size, config.n_embd),
    "sinusoidal": lambda config: SinusoidalPositionEmbedding(config.block_size, config.n_embd),
    "rope": lambda config: RotaryEmbedding(config.block_size, config.head_dim),
    "alibi": lambda config: ALiBi(config.n_head),
}
