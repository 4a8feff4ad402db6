"""The GPT: token embedding, positions, a stack of pre-norm blocks, a last norm, and a head.

Shapes: B batch, T time, C width, V vocabulary.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.attention import ATTENDS, Attention
from minigpt.cache import Cache
from minigpt.checkpointing import RECOMPUTED, recompute
from minigpt.config import GPTConfig, require
from minigpt.initialisation import initialise
from minigpt.layers import MLPS, NORMS, RMSNorm
from minigpt.position import POSITIONS, Position

Factory = Callable[..., nn.Module]


class Block(nn.Module):
    """One pre-norm transformer block: attention, then the MLP, each added to the residual stream."""

    def __init__(self, attention_norm: nn.Module, attention: nn.Module, mlp_norm: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.mlp_norm = mlp_norm
        self.mlp = mlp

    def forward(self, x: Tensor, *cache: Cache) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = x + self.attention(self.attention_norm(x), *cache)
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    """A decoder-only transformer (Radford et al., 2019) whose parts can be replaced one by one.

    Each keyword takes a factory: `norm(width)`, `attention(config)`, `mlp(config)`, `position(config)`.
    A factory left out is looked up by the name in the configuration.

    Raises:
        UserError: the configuration names a component that does not exist.
    """

    def __init__(
        self,
        config: GPTConfig,
        *,
        norm: Factory | None = None,
        attention: Factory | None = None,
        mlp: Factory | None = None,
        position: Factory | None = None,
    ) -> None:
        super().__init__()
        given = {"norm": norm, "attention": attention, "mlp": mlp, "position": position}
        self.config = config
        self.replaced = [name for name, factory in given.items() if factory is not None]
        norm = norm or default_norm(config)
        attention, mlp, position = attention or default_attention, mlp or default_mlp, position or default_position

        self.token = nn.Embedding(config.vocab_size, config.n_embd)
        self.position = position(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.Sequential(
            *(
                Block(norm(config.n_embd), attention(config), norm(config.n_embd), mlp(config))
                for _ in range(config.n_layer)
            )
        )
        for block in self.blocks:
            connect(block.attention, self.position)
            for part in look_up(RECOMPUTED, "checkpointing", config.checkpointing):
                recompute(block.get_submodule(part))
        self.norm = norm(config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=config.head_bias)
        initialise(self, config.n_layer)
        if config.tie_weights:
            self.head.weight = self.token.weight

    def forward(self, ids: Tensor, cache: list[Cache] | None = None) -> Tensor:
        """Return the logits of the next token at every position: (B, T) -> (B, T, V).

        With a cache from `new_cache`, the ids go on from those that the cache has seen, and it takes them in.

        Raises:
            UserError: the ids have another shape, or the sequence is longer than `block_size`.
        """
        return self.head(self.states(ids, cache))

    def states(self, ids: Tensor, cache: list[Cache] | None = None) -> Tensor:
        """Return what the head turns into logits, as `forward` does: (B, T) -> (B, T, C)."""
        start = len(cache[0]) if cache else 0
        require(ids.dim() == 2, f"The ids have the shape {tuple(ids.shape)}, not (B, T); add a batch with ids[None].")
        require(
            start + ids.size(1) <= self.config.block_size,
            f"The sequence has {start + ids.size(1)} tokens but the model's block_size is {self.config.block_size}; "
            "pass at most that many.",
        )
        x = self.token(ids)  # (B, T, C)
        if cache is None:
            x = self.blocks(self.dropout(self.position(x)))
        else:
            x = self.dropout(self.position(x, start))
            for block, layer in zip(self.blocks, cache, strict=True):
                x = block(x, layer)
        return self.norm(x)  # (B, T, C)

    def new_cache(self, batch_size: int = 1, size: int | None = None) -> list[Cache]:
        """Return an empty cache for each block, with room for `size` tokens (`block_size` if unset).

        Raises:
            UserError: a block's attention is not the package's.
        """
        layers = [block.attention for block in self.blocks]
        other = next((type(layer).__name__ for layer in layers if not isinstance(layer, Attention)), None)
        require(other is None, f"{other} knows nothing of a cache; build on minigpt's Attention, or do without.")
        place = {"device": self.token.weight.device, "dtype": self.token.weight.dtype}
        return [layer.new_cache(batch_size, size or self.config.block_size, **place) for layer in layers]


def connect(attention: nn.Module, position: nn.Module) -> None:
    """Let a layer follow a position scheme that acts inside attention.

    Raises:
        UserError: the layer cannot.
    """
    if isinstance(attention, Attention) and isinstance(position, Position):
        attention.follow(position)
    else:
        require(
            not isinstance(position, Position) or not position.acts_inside,
            f"{type(position).__name__} acts inside attention, which {type(attention).__name__} does not let it do; "
            "build on minigpt's Attention, or take position='none' and do it there.",
        )


def default_norm(config: GPTConfig) -> Factory:
    """Return the norm that the configuration names, as a factory of the width."""
    return partial(look_up(NORMS, "norm", config.norm), bias=config.bias)


def default_attention(config: GPTConfig) -> nn.Module:
    """Build the attention layer with the formula that the configuration names."""
    attend = look_up(ATTENDS, "attend", config.attend)
    head_norm = RMSNorm if config.qk_norm else nn.Identity
    sizes = (config.n_embd, config.n_head, config.bias, config.dropout)
    return Attention(*sizes, attend, n_kv_head=config.n_kv_head, head_norm=head_norm)


def default_mlp(config: GPTConfig) -> nn.Module:
    """Build the MLP that the configuration names."""
    return look_up(MLPS, "mlp", config.mlp)(config.n_embd, config.hidden, config.bias, config.dropout)


def default_position(config: GPTConfig) -> nn.Module:
    """Build the position scheme that the configuration names."""
    return look_up(POSITIONS, "position", config.position)(config)


def look_up(table: dict[str, Any], field: str, name: str) -> Any:
    """Return the component of that name.

    Raises:
        UserError: there is none; the names that exist are listed.
    """
    require(name in table, f"The configuration asks for {field} = {name!r}; choose one of {', '.join(table)}.")
    return table[name]


def require_components(config: GPTConfig) -> None:
    """Raise `UserError` unless every component that the configuration names exists."""
    tables: dict[str, dict[str, Any]] = {
        "norm": NORMS,
        "attend": ATTENDS,
        "mlp": MLPS,
        "position": POSITIONS,
        "checkpointing": RECOMPUTED,
    }
    for field, table in tables.items():
        look_up(table, field, getattr(config, field))


def blueprint(config: GPTConfig) -> GPT:
    """Build a model without memory for its weights, to look at its shapes."""
    with torch.device("meta"):
        return GPT(config)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable numbers in a model, a shared matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
