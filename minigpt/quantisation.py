"""Weights in fewer bits: whole numbers of one byte with a step for each row, or floating point of two bytes.

Shapes: R rows, C columns.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor

from minigpt.config import require
from minigpt.model import GPT

LARGEST = 127  # of the whole numbers of one byte, the same on both sides of zero


class Stored(NamedTuple):
    """A tensor as it is stored: numbers of its shape, and the step of each row, (R,), where they are whole."""

    numbers: Tensor
    steps: Tensor | None = None

    def restore(self) -> Tensor:
        """Return the tensor that these numbers stand for, in float32."""
        numbers = self.numbers.float()
        return numbers if self.steps is None else numbers * self.steps.unsqueeze(1)


def row_steps(tensor: Tensor) -> Tensor:
    """Return the steps, (R,), that divide each row of a matrix, (R, C), into 255 numbers and keep its largest."""
    largest = tensor.abs().amax(dim=1)  # (R,)
    return torch.where(largest > 0, largest, 1.0) / LARGEST


def to_int8(tensor: Tensor) -> Stored:
    """Round a matrix to 255 numbers, row by row."""
    steps = row_steps(tensor)
    return Stored((tensor / steps.unsqueeze(1)).round().to(torch.int8), steps)


def to_fp16(tensor: Tensor) -> Stored:
    """Round to floating point of two bytes, with about three decimal places."""
    return Stored(tensor.half())


STORES: dict[str, Callable[[Tensor], Stored]] = {"int8": to_int8, "fp16": to_fp16}


def store(model: GPT, precision: str) -> dict[str, Stored]:
    """Return all parameters as they are stored, by name; biases and norms, which are vectors, keep float32.

    Raises:
        UserError: there is no such precision, or a weight is too large for it or not a number.
    """
    require(precision in STORES, f"There is no precision {precision!r} to store in; choose one of {', '.join(STORES)}.")
    found = {}
    for name, parameter in model.named_parameters():
        tensor = parameter.detach().float().cpu()
        found[name] = STORES[precision](tensor) if tensor.dim() == 2 else Stored(tensor)
        require(
            bool(tensor.isfinite().all() and found[name].restore().isfinite().all()),
            f"{name} holds a number that {precision} cannot; go back to an earlier checkpoint, or choose another "
            "precision.",
        )
    return found


def rounded(model: GPT, precision: str) -> GPT:
    """Return a copy of a model that computes with the weights that are stored.

    Raises:
        UserError: there is no such precision, or a weight is too large for it or not a number.
    """
    copy = deepcopy(model)
    for name, stored in store(model, precision).items():
        copy.get_parameter(name).data = stored.restore().to(copy.get_parameter(name).device)
    return copy
