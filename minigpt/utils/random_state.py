"""PyTorch's global generators, from which dropout draws: their state as a value that can be kept and put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

RandomState = dict[str, Any]


def get_rng_state() -> RandomState:
    """Return the state of the global generators, of the CPU and of every CUDA device."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def set_rng_state(state: RandomState) -> None:
    """Set the global generators to a state kept before; a device that is not here is passed over."""
    torch.set_rng_state(state["cpu"])
    for device, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(cuda_state, device)


def rng_state_from_seed(seed: int) -> RandomState:
    """Return the state that the global generators have after seeding, leaving them as they are."""
    with preserve_rng_state():
        torch.manual_seed(seed)
        return get_rng_state()


@contextmanager
def preserve_rng_state() -> Iterator[None]:
    """Leave the global generators as they are found, whatever is drawn inside the block."""
    outside = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(outside)
