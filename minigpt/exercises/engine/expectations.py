"""What a checker says about an answer: the `expect_*` helpers raise `Mistake` with one sentence for the learner.

One rule for all checkers says which types are taken, since a right answer is right in whatever it comes:

- a number, or True and False, may be Python's, NumPy's, or a tensor without dimensions;
- a list may be a tuple, and a tuple a list;
- a tensor may be of float64 and may be an array of NumPy's.

Not taken are a list for a tensor, a tensor, a set or an iterator for a list, a float for an integer, and 0 or 1 for a truth value.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from typing import Any

import numpy
import torch
from torch import Tensor


class Mistake(Exception):
    """A wrong answer, described in one sentence that helps the learner onwards."""


class NotAttempted(Exception):
    """The exercise is still a stub."""


def accepted(answer: Any) -> Any:
    """Return an answer in the form in which it is looked at: numbers as Python's, arrays as tensors, float64 as float32.

    What is inside lists, tuples and dictionaries is brought into that form, too. A tensor with a graph stays a tensor.
    """
    if isinstance(answer, numpy.generic) and not isinstance(answer, str | bytes):
        return answer.item()
    if isinstance(answer, numpy.ndarray) and answer.dtype.kind in "biuf":
        return accepted(torch.tensor(answer))
    if isinstance(answer, Tensor):
        if answer.dim() == 0 and not answer.requires_grad:
            return answer.item()
        return answer.float() if answer.dtype == torch.float64 else answer
    if type(answer) in (list, tuple):
        return type(answer)(accepted(item) for item in answer)
    return {key: accepted(item) for key, item in answer.items()} if type(answer) is dict else answer


def expect(condition: object, mistake: str) -> None:
    """Raise `Mistake` unless the condition holds."""
    if not condition:
        raise Mistake(mistake)


def expect_type(value: object, kind: type | tuple[type, ...], mistake: str | None = None) -> None:
    """Raise `Mistake` unless the value is of this kind, or is taken for it; a list stands for a tuple, too."""
    _expect_answer(value)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    asked = " or ".join(one.__name__ for one in kinds)
    wide = (*kinds, list, tuple) if {list, tuple} & {*kinds} else kinds
    fits = isinstance(value, wide) or isinstance(accepted(value), wide)
    expect(fits, mistake or f"the answer is of type {type(value).__name__}, not {asked}")


def expect_shape(tensor: Any, shape: tuple[int, ...], mistake: str | None = None) -> None:
    """Raise `Mistake` unless this is a tensor of this shape."""
    tensor = tensor if isinstance(tensor, Tensor) else accepted(tensor)
    expect_type(tensor, Tensor)
    found = tuple(tensor.shape)
    expect(found == tuple(shape), mistake or f"the answer has shape {found}, not {tuple(shape)}")


def expect_equal(actual: object, expected: object, mistake: str) -> None:
    """Raise `Mistake` unless both are equal exactly, in kind, in shape and in every value."""
    expect_close(actual, expected, mistake, atol=0.0, rtol=0.0)


def expect_close(actual: object, expected: object, mistake: str, atol: float = 1e-5, rtol: float = 1e-4) -> None:
    """Raise `Mistake` unless both agree within the tolerance.

    A missing answer, another kind of value, another shape and stray NaNs get a sentence of their own,
    so `mistake` need only speak about values.
    """
    _expect_comparable(actual, expected)
    expect(same(actual, expected, atol, rtol), mistake)


def diagnose(
    actual: object, correct: object, mistakes: Mapping[str, object], atol: float = 1e-5, rtol: float = 1e-4
) -> None:
    """Raise `Mistake` with the sentence whose wrong value is the learner's answer, unless the answer is correct.

    `mistakes` maps each sentence to the value that this mistake produces on the same input.
    Raises ValueError when the input cannot tell a mistake from the correct answer.
    """
    for sentence, wrong in mistakes.items():
        if same(wrong, correct, atol, rtol):
            raise ValueError(f"choose another input, since this one cannot show that {sentence}")
    _expect_answer(actual)
    if same(actual, correct, atol, rtol):
        return
    for sentence, wrong in mistakes.items():
        expect(not same(actual, wrong, atol, rtol), sentence)
    _expect_comparable(actual, correct)
    raise Mistake(difference(actual, correct, atol, rtol))


@contextmanager
def unchanged(**tensors: Tensor) -> Iterator[None]:
    """Raise `Mistake` when the code inside changes one of these tensors in place: `with unchanged(x=x): layer(x)`."""
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    yield
    for name, tensor in tensors.items():
        expect(same(tensor.detach(), before[name], 0.0, 0.0), changed_in_place(name))


def changed_in_place(name: str) -> str:
    """The sentence for an input that was changed."""
    return f"your code changes its input `{name}` in place, which would surprise whoever passed it: work on a copy"


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers from a generator of their own, the same on every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same(actual: Any, expected: Any, atol: float, rtol: float) -> bool:
    """Whether two values agree: tensors by shape and value, containers item by item; NaN equals NaN."""
    actual = accepted(actual) if isinstance(actual, numpy.ndarray | numpy.generic) else actual
    if _kind(actual) != _kind(expected):
        return False
    if isinstance(actual, int | float) and actual == expected:
        return True  # without the tensors, of which a long list would make many
    left, right = _as_tensor(actual), _as_tensor(expected)
    if left is not None and right is not None:
        return left.shape == right.shape and torch.allclose(left, right, atol=atol, rtol=rtol, equal_nan=True)
    if isinstance(actual, list | tuple):
        pairs = zip(actual, expected, strict=False)
        return len(actual) == len(expected) and all(same(left, right, atol, rtol) for left, right in pairs)
    if isinstance(actual, dict):
        return actual.keys() == expected.keys() and all(same(actual[key], expected[key], atol, rtol) for key in actual)
    return bool(actual == expected)


def difference(actual: object, expected: object, atol: float, rtol: float) -> str:
    """One sentence that sets the answer beside the expected one, at the first place where they differ."""
    left, right = _as_tensor(actual), _as_tensor(expected)
    if left is None or right is None or left.dim() == 0 or left.numel() <= 6:
        return f"the answer is {brief(actual)}, but it should be {brief(expected)}"
    place = tuple((~torch.isclose(left, right, atol=atol, rtol=rtol, equal_nan=True)).nonzero()[0].tolist())
    return f"the answer is {brief(left[place])} at position {list(place)}, but it should be {brief(right[place])}"


def brief(value: object, limit: int = 80) -> str:
    """A short description of any value that fits into a sentence; it never raises."""
    try:
        if isinstance(value, Tensor):
            if value.numel() > 6:
                return f"a tensor of shape {tuple(value.shape)}"
            value = value.detach().tolist()
        text = repr(_rounded(value)).replace("\n", " ")
    except Exception:
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _rounded(value: object) -> object:
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.4g}")
    return [_rounded(item) for item in value] if type(value) is list else value


def _expect_answer(actual: object) -> None:
    if actual is None or actual is ...:
        raise NotAttempted("the answer is None, so if you did write it, a `return` is missing")


def _expect_comparable(actual: object, expected: object) -> None:
    if expected is not None:
        _expect_answer(actual)
    actual = accepted(actual) if isinstance(actual, numpy.ndarray | numpy.generic) else actual
    asked, found = _kind(expected), _kind(actual)
    expect(asked == found, f"the answer is of type {_name(actual)}, but {_name(expected)} is asked for")
    left, right = _as_tensor(actual), _as_tensor(expected)
    if left is None or right is None:
        return
    expect(left.shape == right.shape, f"the answer has shape {tuple(left.shape)}, not {tuple(right.shape)}")
    expect(not left.isnan().any() or right.isnan().any(), "the answer contains NaN, which is not a number")


def _kind(value: object) -> str:
    if isinstance(value, Number) or (isinstance(value, Tensor) and value.dim() == 0):
        return "number"
    if isinstance(value, list | tuple):
        return "list"
    return next((kind.__name__ for kind in (Tensor, dict, str) if isinstance(value, kind)), type(value).__name__)


def _name(value: object) -> str:
    return type(value).__name__ if isinstance(value, list | tuple) else _kind(value)


def _as_tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return None if value.is_complex() else value.detach().cpu().double()
    if isinstance(value, Number) and not isinstance(value, complex):
        return torch.tensor(float(value), dtype=torch.float64)  # type: ignore[arg-type]
    return None
