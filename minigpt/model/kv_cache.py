"""The keys and values of the tokens that a layer has read, so that generation does not compute them again.

Shapes: B batch, T time, G KV heads, D dimension of a head.
"""

import torch
from torch import Tensor

from minigpt.utils.errors import UserError


class KVCache:
    """The keys and values of one attention layer, for at most `max_seq_len` tokens.

    `update` stores those of further tokens and returns all so far. A model has one cache per layer:
    `model.make_kv_cache(batch_size)` makes them.
    """

    def __init__(
        self,
        batch_size: int,
        n_kv_head: int,
        max_seq_len: int,
        head_dim: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.keys = torch.empty(batch_size, n_kv_head, max_seq_len, head_dim, device=device, dtype=dtype)
        self.values = torch.empty_like(self.keys)
        self.length = 0

    def __len__(self) -> int:
        return self.length

    def update(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store the keys and values of further tokens, (B, G, T, D), and return those of all tokens.

        Raises:
            UserError: they do not fit, or gradients are to flow through them.
        """
        start, end = self.length, self.length + k.size(-2)
        max_seq_len, batch_size = self.keys.size(-2), self.keys.size(0)
        if end > max_seq_len:
            raise UserError(
                f"The cache has room for {max_seq_len} tokens, not for {end}; start a new one with make_kv_cache."
            )
        if k.size(0) != batch_size:
            raise UserError(f"The cache is for a batch of {batch_size}, not {k.size(0)}; start a new one.")
        if k.requires_grad:
            raise UserError("A cache keeps no gradients; run the model inside `with torch.no_grad():`.")
        self.keys.narrow(-2, start, end - start).copy_(k)
        self.values.narrow(-2, start, end - start).copy_(v)
        self.length = end
        return self.keys.narrow(-2, 0, end), self.values.narrow(-2, 0, end)

    def reset(self) -> None:
        """Forget everything; the memory is used again."""
        self.length = 0

    @property
    def n_bytes(self) -> int:
        """The memory that it takes, whether full or not."""
        return self.keys.nbytes + self.values.nbytes
