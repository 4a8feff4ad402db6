"""PyTorch's compiler, which translates a model into one program with fewer and larger steps (Ansel et al., 2024)."""

import torch
from torch import nn

from minigpt.errors import UserError


def compiled(network: nn.Module) -> nn.Module:
    """Return the network as a program; the translation itself takes place in its first forward pass, and takes a while.

    Raises:
        UserError: PyTorch cannot compile here, for lack of a compiler for the device.
    """
    device = next(network.parameters()).device
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(1, device=device))
    except Exception as error:  # whatever is missing, each backend says it in its own way
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"torch.compile does not work here ({reason}); leave out compile.") from None
    return torch.compile(network)
