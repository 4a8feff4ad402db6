"""What hypothesis draws for the tests of bad input: any text, any JSON, valid values with something wrong in them."""

import copy
import math
from typing import Any

from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters())  # with NUL, unassigned places and halves of surrogate pairs
STRANGE = st.sampled_from(
    [
        *("", "\0", "\ud800", "\udfff", "\ufeff", "\u202e", "\r\n", "a\u0301", "🙂", "<|endoftext|>", " " * 300),
        *("../../outside", "/etc/hosts", "C:\\outside", "NUL", "[", "(?<", "a" * 3000),
    ]
)
NUMBERS = st.sampled_from(
    [
        *(0, 1, -1, 2, 255, 256, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400, -(10**400)),
        *(0.0, -0.0, 0.5, 1.5, 1e-300, 1e300, 5e-324, math.nan, math.inf, -math.inf),
    ]
)
SCALARS = (
    st.none() | st.booleans() | NUMBERS | st.integers() | st.floats() | STRANGE | st.text(st.characters(), max_size=20)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=6)


@st.composite
def nearly(draw: st.DrawFn, valid: dict[str, Any], most: int = 3) -> dict[str, Any]:
    """A valid object of JSON with one place or a few, at any depth, that were changed, taken out, added or repeated."""
    values = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, most))):
        here: Any = values
        while True:
            names = sorted(here) if isinstance(here, dict) else range(min(len(here), 300))
            name = draw(st.sampled_from(names)) if names else None
            deeper = name is not None and isinstance(here[name], (dict, list)) and len(here[name]) > 0
            if not deeper or draw(st.booleans()):
                break
            here = here[name]
        spoil(draw, here, name)
    return values


def spoil(draw: st.DrawFn, container: dict[str, Any] | list[Any], name: Any) -> None:
    """Do one thing to the entry of this name, or to the container if there is none."""
    what = "add" if name is None else draw(st.sampled_from(["change", "change", "remove", "add", "repeat"]))
    if what == "change":
        container[name] = draw(JSON)
    elif what == "remove":
        del container[name]
    elif isinstance(container, list):
        container.append(container[name] if what == "repeat" else draw(JSON))
    elif what == "repeat":
        container[f"{name}s"] = container[name]
    else:
        container[draw(st.text(max_size=8))] = draw(JSON)
