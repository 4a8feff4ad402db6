"""The check before every comparison: two sides that compute different things are not worth timing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from minigpt.utils.errors import UserError


def near(what: str, ours: Tensor, peer: Tensor, tolerance: float) -> str:
    """Return a sentence that says how near two tensors are.

    Raises:
        UserError: they differ by more than the tolerance, or in shape.
    """
    if ours.shape != peer.shape:
        raise UserError(f"{what}: {tuple(ours.shape)} here, {tuple(peer.shape)} there; nothing is timed.")
    difference = (ours.double() - peer.double()).abs().max().item()
    if not difference <= tolerance:
        raise UserError(f"{what} differ by {difference:.2g}, more than {tolerance:g}; nothing is timed.")
    return f"{what} equal {f'within {difference:.1g}' if difference else 'to the bit'}"


def equal(what: str, ours: Sequence[object], peer: Sequence[object]) -> str:
    """Return a sentence that says that two sequences are the same.

    Raises:
        UserError: they are not; the first place is named.
    """
    ours, peer = list(ours), list(peer)
    if len(ours) != len(peer):
        raise UserError(f"{what}: {len(ours):,} here, {len(peer):,} there; nothing is timed.")
    different = next((place for place, pair in enumerate(zip(ours, peer, strict=True)) if pair[0] != pair[1]), None)
    if different is not None:
        raise UserError(f"{what} differ from place {different} on; nothing is timed.")
    return f"{len(ours):,} {what}, all equal"


def equal_ids(what: str, ours: Tensor, peer: Tensor) -> str:
    """Return a sentence that says that two tensors of ids are the same.

    Raises:
        UserError: they are not.
    """
    if not torch.equal(ours, peer):
        raise UserError(f"{what} differ; nothing is timed.")
    return f"{ours.numel():,} {what}, all equal"
