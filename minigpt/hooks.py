"""A look inside a model while it runs."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from minigpt.attention import Attend, Attention, attend_naive
from minigpt.config import require


@contextmanager
def record(model: nn.Module, *patterns: str) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the modules whose names match, such as `blocks.*` or `blocks.*.attention.weights`.

    Yields a dictionary that the next forward pass fills: module name → output. Attention weights have the shape
    (B, H, T, T). A `*` stands for one part of a name, so `blocks.*` is every block and nothing inside them.

    Raises:
        UserError: no module has such a name; the names are listed.
    """
    names = [name for name, _ in model.named_modules() if name]
    chosen: list[str] = []
    for pattern in patterns:
        matches = [name for name in names if re.fullmatch(re.escape(pattern).replace(r"\*", r"[^.]+"), name)]
        require(len(matches) > 0, f"No module matches {pattern!r}; the model has {', '.join(names)}.")
        chosen += matches
    seen: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            seen[name] = output.detach()

        return hook

    layers = [module for module in model.modules() if isinstance(module, Attention)]
    formulas = [layer.attend for layer in layers]
    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in chosen]
    try:
        for layer in layers:
            layer.attend = with_weights(layer.attend)
        yield seen
    finally:
        for layer, formula in zip(layers, formulas, strict=True):
            layer.attend = formula
        for handle in handles:
            handle.remove()


def with_weights(attend: Attend) -> Attend:
    """Return a formula that falls back to the naive one where `attend` keeps no weights."""

    def formula(q: Tensor, k: Tensor, v: Tensor, *bias: Tensor) -> tuple[Tensor, Tensor]:
        y, weights = attend(q, k, v, *bias)
        return (y, weights) if weights is not None else attend_naive(q, k, v, *bias)

    return formula


def parameter_table(model: nn.Module) -> list[tuple[str, tuple[int, ...], int]]:
    """Return a row for each parameter: its name, its shape and how many numbers it holds."""
    return [(name, tuple(parameter.shape), parameter.numel()) for name, parameter in model.named_parameters()]
