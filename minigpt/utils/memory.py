"""How many bytes the tensors of a computation hold while it runs: now, and at the worst moment."""

import weakref
from typing import Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


class MemoryTracker(TorchDispatchMode):
    """Count the memory of every tensor that is made inside a `with` block, for as long as it lives.

    `current` and `peak` are in bytes. Tensors that were there before do not count, a memory that several tensors share
    counts once, and what a kernel uses inside itself cannot be seen. It works on any device, in backward passes too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.current = self.peak = 0
        self.known = WeakIdKeyDictionary()  # of storages

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __torch_dispatch__(self, function: Any, types: Any, arguments: tuple = (), named: dict | None = None) -> Any:
        named = named or {}
        for storage in _storages((arguments, named)):
            self.known.setdefault(storage, True)
        result = function(*arguments, **named)
        for storage in _storages(result):
            if storage not in self.known:
                self.known[storage] = True
                self._update(storage.nbytes())
                weakref.finalize(storage, self._update, -storage.nbytes())
        return result

    def _update(self, n_bytes: int) -> None:
        """Add the bytes of a new storage, or take off those of one that is gone."""
        self.current += n_bytes
        self.peak = max(self.peak, self.current)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    """Return the memory behind every tensor in nested tuples, lists and dictionaries."""
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
