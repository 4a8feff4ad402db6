"""Numbers of NumPy's and PyTorch's where Python's own are expected, without importing either."""

import operator
from typing import Any

from minigpt.utils.errors import UserError

SEED_LIMIT = 2**63


def to_python(value: Any) -> Any:
    """Return a single number of NumPy's or PyTorch's as Python's own, and anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def to_int(name: str, value: Any, least: int) -> int:
    """Return a whole number, of whatever library, as an int; `name` is what error messages call it.

    Raises:
        UserError: it is no whole number, or below `least`.
    """
    value = to_python(value)
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool):
        raise UserError(f"{name} = {value!r} must be a whole number.")
    if whole < least:
        bound = "must not be negative" if least == 0 else f"must be at least {least}"
        raise UserError(f"{name} = {whole} {bound}.")
    return whole


def check_seed(seed: Any) -> int:
    """Return a seed as an int.

    Raises:
        UserError: it is no whole number, or out of range.
    """
    seed = to_python(seed)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_LIMIT:
        raise UserError(f"seed = {seed!r} must be a whole number from 0 up to 2**63 - 1.")
    return seed
