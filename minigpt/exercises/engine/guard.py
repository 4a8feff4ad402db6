"""A wrapper around the learner's function that protects the checker's inputs and notices stubs."""

import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from minigpt.exercises.engine.expectations import Mistake, NotAttempted, accepted, changed_in_place, same

WORDS = {  # what each of these is called by PyTorch, if not by its own name
    "autograd": ("backward", "grad"),
    "svd": ("svd", "linalg_svd", "linalg_svdvals", "svd_lowrank"),
    "softmax": ("softmax", "log_softmax"),
}


class _Watch(TorchFunctionMode):
    """Notes which of these functions of PyTorch's are called."""

    def __init__(self, names: tuple[str, ...], used: set[str]) -> None:
        super().__init__()
        self.names = {word: name for name in names for word in WORDS.get(name, (name,))}
        self.used = used

    def __torch_function__(
        self, func: Callable, types: object, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        name = getattr(func, "__name__", "")
        if name in self.names:
            self.used.add(self.names[name])
        return func(*args, **(kwargs or {}))


def guard(function: Callable, without: tuple[str, ...] = (), used: set[str] | None = None) -> Callable:
    """Return the function wrapped: it receives copies, must leave them unchanged, and its answer comes as `accepted`.

    Raises, when called, `NotAttempted` if the first answer is None or `...`, and `Mistake` if the parameters do not
    fit, if an input was changed in place, or if a later answer is None. Parameters of models are passed as they are.
    What is called of `without` is noted in `used`.
    """
    answered = False

    @functools.wraps(function)
    def guarded(*arguments: object, **named: object) -> object:
        nonlocal answered
        names = _parameter_names(function, arguments, named)
        copies = [_copy(argument) for argument in arguments]
        named_copies = {name: _copy(argument) for name, argument in named.items()}
        with _Watch(without, set() if used is None else used) if without else nullcontext():
            answer = function(*copies, **named_copies)
        for name, before, after in zip(names, arguments, copies, strict=False):
            _expect_unchanged(name, before, after)
        for name, before in named.items():
            _expect_unchanged(name, before, named_copies[name])
        if answer is None or answer is ...:
            _refuse_silence(answered)
        answered = True
        return accepted(answer)

    return guarded


def accepting(function: Callable) -> Callable:
    """Return the function wrapped: its answer comes as `accepted`, whatever it does to its inputs."""

    @functools.wraps(function)
    def wrapped(*arguments: object, **named: object) -> object:
        return accepted(function(*arguments, **named))

    return wrapped


def _parameter_names(function: Callable, arguments: tuple, named: dict) -> list[str]:
    fallback = [f"argument {number}" for number in range(1, len(arguments) + 1)]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return fallback
    try:
        signature.bind(*arguments, **named)
    except TypeError as error:
        extra = "".join(f" and `{name}=`" for name in named)
        count = f"{len(arguments)} argument{'' if len(arguments) == 1 else 's'}{extra}"
        raise Mistake(f"your function has the parameters {signature}, but it is called with {count}: {error}") from None
    names = [name for name, one in signature.parameters.items() if one.kind is not one.VAR_POSITIONAL]
    return (names + fallback[len(names) :])[: len(arguments)]


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.is_leaf and value.requires_grad else value.clone()
    if type(value) in (list, tuple, set):
        return type(value)(_copy(item) for item in value)
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return value


def _expect_unchanged(name: str, before: object, after: object) -> None:
    if before is not after and not same(after, before, atol=0.0, rtol=0.0):
        raise Mistake(changed_in_place(name))


def _refuse_silence(answered: bool) -> None:
    if answered:
        raise Mistake("your function returns None for some inputs: does every branch end in a `return`?")
    raise NotAttempted("it returns None, so if you did write it, a `return` is missing")
