"""The machinery of the checkers: what the file of a chapter imports to ask, to compare and to name a mistake."""

from minigpt.exercises.engine.checking import exercise
from minigpt.exercises.engine.expectations import (
    Mistake,
    diagnose,
    expect,
    expect_close,
    expect_equal,
    expect_shape,
    expect_type,
    random_tensor,
    unchanged,
)

__all__ = [
    "Mistake",
    "diagnose",
    "exercise",
    "expect",
    "expect_close",
    "expect_equal",
    "expect_shape",
    "expect_type",
    "random_tensor",
    "unchanged",
]
