"""How large a model is and how much it computes, from its configuration alone: nothing is built.

Symbols: V vocabulary, T context, L layers, C width, F hidden width of the MLP, H heads, D = C/H width of a head,
K width of all keys (that of all values is the same; with a head of keys for each of the queries' it is C).
"""

import re
from dataclasses import dataclass

from minigpt.config import GATED_MLPS, GPTConfig
from minigpt.utils.errors import UserError

_COUNTED = {
    "position": ("none", "learned", "sinusoidal", "rope", "alibi"),
    "norm": ("layernorm", "rmsnorm"),
    "mlp": ("gelu", "relu2", "swiglu"),
}


@dataclass(frozen=True)
class Part:
    """A part of a model: its name, its formula in the symbols above, and how many parameters that gives."""

    name: str
    formula: str
    count: int


def parameter_breakdown(config: GPTConfig) -> list[Part]:
    """Return every part of a model with its number of parameters, in the order of the forward pass.

    Raises:
        UserError: the configuration names a component that has no formula here.
    """
    for field, names in _COUNTED.items():
        name = getattr(config, field)
        if name not in names:
            raise UserError(f"The planner has no formula for {field} = {name!r}; it knows {', '.join(names)}.")
    attention, mlp = [_attention_matrices(config)], [_mlp_matrices(config)]
    if config.bias:
        attention.append("4·C" if config.num_kv_heads == config.n_head else "2·C + 2·K")
        mlp.append("2·F + C" if config.mlp in GATED_MLPS else "F + C")
    if config.qk_norm:
        attention.append("2·D")
    formulas = {
        "token embedding": "V·C",
        "position embedding": "T·C" if config.position == "learned" else "0",
        "attention": _times_layers(attention),
        "MLP": _times_layers(mlp),
        "norms": "(2·L + 1)·2·C" if config.bias and config.norm == "layernorm" else "(2·L + 1)·C",
        "head": "0" if config.tie_weights else "V·C + V" if config.lm_head_bias else "V·C",
    }
    return [Part(name, formula, evaluate_formula(formula, config)) for name, formula in formulas.items()]


def _attention_matrices(config: GPTConfig) -> str:
    """Return the formula of the numbers in the matrices of one attention layer."""
    return "4·C²" if config.num_kv_heads == config.n_head else "2·C² + 2·C·K"


def _mlp_matrices(config: GPTConfig) -> str:
    """Return the formula of the numbers in the matrices of one MLP."""
    return "3·C·F" if config.mlp in GATED_MLPS else "2·C·F"


def _times_layers(terms: list[str]) -> str:
    """Return the formula of as many sums of these terms as there are layers."""
    total = " + ".join(terms)
    return f"L·({total})" if "+" in total else f"L·{total}"


def symbols(config: GPTConfig) -> dict[str, int]:
    """Return the numbers that the symbols of the formulas stand for."""
    return {
        "V": config.vocab_size,
        "T": config.block_size,
        "L": config.n_layer,
        "C": config.n_embd,
        "F": config.hidden_dim,
        "H": config.n_head,
        "D": config.head_dim,
        "K": config.num_kv_heads * config.head_dim,
    }


def fill_in(formula: str, config: GPTConfig) -> str:
    """Return a formula with numbers for its symbols."""
    return re.sub("[A-Z]", lambda symbol: str(symbols(config)[symbol[0]]), formula)


def evaluate_formula(formula: str, config: GPTConfig) -> int:
    """Work a formula out: sums of products, with brackets and squares."""
    return eval(fill_in(formula, config).replace("·", "*").replace("²", "**2"), {"__builtins__": {}})


def num_parameters(config: GPTConfig) -> int:
    """Return the number of parameters of a model, a shared matrix counted once: what `count_parameters` counts."""
    return sum(part.count for part in parameter_breakdown(config))


def matmul_parameters(config: GPTConfig) -> int:
    """Return how many parameters stand in matrices that every token is multiplied by: blocks and head.

    Embeddings are only looked up, and biases and norms only added or scaled. A tied head multiplies all the same.
    """
    return evaluate_formula(f"L·({_attention_matrices(config)} + {_mlp_matrices(config)}) + V·C", config)


def forward_flops(config: GPTConfig) -> int:
    """Return the floating-point operations per token of a forward pass over a full context, in matrix products.

    Two for each multiplied parameter, and 4·T·C a layer for the scores and the weighted sum of attention, whose
    masked half is counted too: it is computed by the naive formula, and PyTorch's own counter counts it.
    """
    return 2 * matmul_parameters(config) + evaluate_formula("L·4·T·C", config)


def training_flops(config: GPTConfig, convention: str = "matrices") -> int:
    """Return the floating-point operations per token of a training step: forward, and twice as many backward.

    `matrices` counts as `forward_flops` does; `6N` is six times all parameters. `kaplan` leaves the embeddings
    and the head out and the masked half of attention too (Kaplan et al., 2020, table 1); `chinchilla` counts the
    token embedding as a matrix product and the softmax (Hoffmann et al., 2022, appendix F).

    Raises:
        UserError: there is no such convention.
    """
    matrices = f"{_attention_matrices(config)} + {_mlp_matrices(config)}"
    conventions = {
        "matrices": lambda: 3 * forward_flops(config),
        "6N": lambda: 6 * num_parameters(config),
        "kaplan": lambda: 3 * evaluate_formula(f"2·L·({matrices}) + 2·L·T·C", config),
        "chinchilla": lambda: 3 * evaluate_formula(f"2·V·C + L·(2·({matrices}) + 4·T·C + 3·H·T) + 2·V·C", config),
    }
    if convention not in conventions:
        raise UserError(f"There is no convention {convention!r}; the conventions are {', '.join(conventions)}.")
    return conventions[convention]()


CONVENTIONS = ("matrices", "6N", "kaplan", "chinchilla")
