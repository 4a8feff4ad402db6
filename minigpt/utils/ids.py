"""Token ids in whatever form they come: a tensor, an array of NumPy's, in memory or mapped into it, or a list."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from minigpt.utils.errors import UserError


def as_ids(ids: Any) -> Tensor:
    """Return ids of any shape as a tensor of int64; what is one already is returned as it is.

    Raises:
        UserError: they are no whole numbers, or rows of them differ in length.
    """
    if isinstance(ids, Tensor):
        if ids.dtype == torch.long:
            return ids
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise UserError(f"Token ids are whole numbers, not of type {ids.dtype}; pass what a tokenizer returns.")
        return ids.long()
    try:
        values = np.asarray(ids)
    except ValueError:
        raise UserError("The rows of ids differ in length; pad them, or pass one at a time.") from None
    if values.dtype.kind not in "iu" and values.size > 0:
        raise UserError(f"Token ids are whole numbers, not of type {values.dtype}; pass what a tokenizer returns.")
    return torch.from_numpy(values.astype(np.int64))  # a copy, since memory that is mapped may not be written to
