"""A look inside a model while it runs."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from minigpt.model.attention import AttentionFn, CausalSelfAttention, naive_attention
from minigpt.utils.errors import UserError


@contextmanager
def capture_activations(model: nn.Module, *patterns: str) -> Iterator[dict[str, Tensor]]:
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
        if len(matches) <= 0:
            raise UserError(f"No module matches {pattern!r}; the model has {', '.join(names)}.")
        chosen += matches
    seen: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            seen[name] = output.detach()

        return hook

    layers = [module for module in model.modules() if isinstance(module, CausalSelfAttention)]
    formulas = [layer.attn_impl for layer in layers]
    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in chosen]
    try:
        for layer in layers:
            layer.attn_impl = _with_weights(layer.attn_impl)
        yield seen
    finally:
        for layer, formula in zip(layers, formulas, strict=True):
            layer.attn_impl = formula
        for handle in handles:
            handle.remove()


def _with_weights(attn_impl: AttentionFn) -> AttentionFn:
    """Return a formula that falls back to the naive one where `attn_impl` keeps no weights."""

    def formula(q: Tensor, k: Tensor, v: Tensor, attn_bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, weights = attn_impl(q, k, v) if attn_bias is None else attn_impl(q, k, v, attn_bias)
        return (y, weights) if weights is not None else naive_attention(q, k, v, attn_bias)

    return formula


def parameter_table(model: nn.Module) -> list[tuple[str, tuple[int, ...], int]]:
    """Return a row for each parameter: its name, its shape and how many numbers it holds."""
    return [(name, tuple(parameter.shape), parameter.numel()) for name, parameter in model.named_parameters()]
