"""The steps of `training`, both sides translated by PyTorch's compiler, whose own time is not counted."""

from collections.abc import Iterator

import torch

from benchmarks.peers.record import Row
from benchmarks.peers.training import SHAPES, shape_row

NAME = "training-compiled"


def rows(quick: bool) -> Iterator[Row]:
    """Yield a row for each shape; quick: the smallest."""
    for shape in list(SHAPES)[: 1 if quick else None]:
        yield shape_row(shape, quick, compile=True)
        torch.compiler.reset()
