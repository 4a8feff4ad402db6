"""Gradient checkpointing: parts of a block that keep only their input, and are computed again in the backward pass."""

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

RECOMPUTED = {  # by the configuration's `checkpointing`: the parts of a block, "" being the whole
    "none": (),
    "block": ("",),
    "attention": ("attention",),
    "mlp": ("mlp",),
}


def recompute(module: nn.Module) -> None:
    """Let a module keep only its input for the backward pass, and run again there (Chen et al., 2016).

    The gradients stay the same to the bit, with dropout too: the second run draws the same random numbers.
    """
    module.forward = partial(checkpoint, module.forward, use_reentrant=False)
