"""What attention keeps of the tokens it has read, so that writing on does not read them again.

Shapes: B batch, T time, G heads of keys and values, D width of a head.
"""

import torch
from torch import Tensor

from minigpt.utils.errors import UserError


class KVCache:
    """The keys and values of one attention layer, for at most `size` tokens.

    `append` stores those of further tokens and returns all so far. A model has one cache a layer:
    `model.make_kv_cache(batch_size)` makes them.
    """

    def __init__(
        self,
        batch_size: int,
        n_head: int,
        size: int,
        head_dim: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.keys = torch.empty(batch_size, n_head, size, head_dim, device=device, dtype=dtype)
        self.values = torch.empty_like(self.keys)
        self.length = 0

    def __len__(self) -> int:
        return self.length

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store the keys and values of further tokens, (B, G, T, D), and return those of all tokens.

        Raises:
            UserError: they do not fit, or gradients are to flow through them.
        """
        start, end = self.length, self.length + k.size(-2)
        room, batch_size = self.keys.size(-2), self.keys.size(0)
        if end > room:
            raise UserError(f"The cache has room for {room} tokens, not for {end}; start a new one with make_kv_cache.")
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


class NoCache:
    """The cache of a layer that keeps nothing: what is appended is all there is."""

    def __len__(self) -> int:
        return 0

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values as they are."""
        return k, v


NO_CACHE = NoCache()
