"""The GPT: token embedding, positions, a stack of pre-norm blocks, a last norm, and a head.

Shapes: B batch, T time, C width, V vocabulary.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minigpt.config import ACTIVATION_CHECKPOINTING, GPTConfig
from minigpt.model.attention import ATTENTION_FUNCTIONS, CausalSelfAttention
from minigpt.model.kv_cache import KVCache
from minigpt.model.layers import MLPS, NORMS, RMSNorm
from minigpt.model.position import POSITION_EMBEDDINGS, PositionEmbedding
from minigpt.utils.errors import UserError

Factory = Callable[..., nn.Module]


class Block(nn.Module):
    """One pre-norm transformer block: attention, then the MLP, each added to the residual stream."""

    def __init__(self, attention_norm: nn.Module, attention: nn.Module, mlp_norm: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.mlp_norm = mlp_norm
        self.mlp = mlp

    def forward(self, x: Tensor, *cache: KVCache) -> Tensor:  # (B, T, C) -> (B, T, C)
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
        norm = norm or build_norm(config)
        attention, mlp, position = attention or build_attention, mlp or build_mlp, position or build_position

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
            for part in get_component(
                ACTIVATION_CHECKPOINTING, "activation_checkpointing", config.activation_checkpointing
            ):
                checkpoint_activations(block.get_submodule(part))
        self.norm = norm(config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=config.lm_head_bias)
        init_weights(self, config.n_layer)
        if config.tie_weights:
            self.head.weight = self.token.weight

    def forward(self, ids: Tensor, cache: list[KVCache] | None = None) -> Tensor:
        """Return the logits of the next token at every position: (B, T) -> (B, T, V).

        With a cache from `make_kv_cache`, the ids go on from those that the cache has seen, and it takes them in.

        Raises:
            UserError: the ids have another shape, or the sequence is longer than `block_size`.
        """
        return self.head(self.states(ids, cache))

    def states(self, ids: Tensor, cache: list[KVCache] | None = None) -> Tensor:
        """Return what the head turns into logits, as `forward` does: (B, T) -> (B, T, C)."""
        start = len(cache[0]) if cache else 0
        if ids.dim() != 2:
            raise UserError(f"The ids have the shape {tuple(ids.shape)}, not (B, T); add a batch with ids[None].")
        if start + ids.size(1) > self.config.block_size:
            raise UserError(
                f"The sequence has {start + ids.size(1)} tokens but the model's block_size is "
                f"{self.config.block_size}; "
                "pass at most that many."
            )
        x = self.token(ids)  # (B, T, C)
        if cache is None:
            x = self.blocks(self.dropout(self.position(x)))
        else:
            x = self.dropout(self.position(x, start))
            for block, layer in zip(self.blocks, cache, strict=True):
                x = block(x, layer)
        return self.norm(x)  # (B, T, C)

    def make_kv_cache(self, batch_size: int = 1, size: int | None = None) -> list[KVCache]:
        """Return an empty cache for each block, with room for `size` tokens (`block_size` if unset).

        Raises:
            UserError: a block's attention is not the package's.
        """
        layers = [block.attention for block in self.blocks]
        other = next((type(layer).__name__ for layer in layers if not isinstance(layer, CausalSelfAttention)), None)
        if other is not None:
            raise UserError(f"{other} knows nothing of a cache; build on minigpt's Attention, or do without.")
        place = {"device": self.token.weight.device, "dtype": self.token.weight.dtype}
        return [layer.make_kv_cache(batch_size, size or self.config.block_size, **place) for layer in layers]


def connect(attention: nn.Module, position: nn.Module) -> None:
    """Let a layer follow a position scheme that acts inside attention.

    Raises:
        UserError: the layer cannot.
    """
    if isinstance(attention, CausalSelfAttention) and isinstance(position, PositionEmbedding):
        attention.follow(position)
    else:
        if isinstance(position, PositionEmbedding) and position.acts_inside:
            raise UserError(
                f"{type(position).__name__} acts inside attention, which {type(attention).__name__} does not "
                "let it do; "
                "build on minigpt's Attention, or take position='none' and do it there."
            )


def build_norm(config: GPTConfig) -> Factory:
    """Return the norm that the configuration names, as a factory of the width."""
    return partial(get_component(NORMS, "norm", config.norm), bias=config.bias)


def build_attention(config: GPTConfig) -> nn.Module:
    """Build the attention layer with the formula that the configuration names."""
    attend = get_component(ATTENTION_FUNCTIONS, "attn_impl", config.attn_impl)
    make_qk_norm = RMSNorm if config.qk_norm else nn.Identity
    sizes = (config.n_embd, config.n_head, config.bias, config.dropout)
    return CausalSelfAttention(*sizes, attend, n_kv_head=config.n_kv_head, make_qk_norm=make_qk_norm)


def build_mlp(config: GPTConfig) -> nn.Module:
    """Build the MLP that the configuration names."""
    return get_component(MLPS, "mlp", config.mlp)(config.n_embd, config.hidden_dim, config.bias, config.dropout)


def build_position(config: GPTConfig) -> nn.Module:
    """Build the position scheme that the configuration names."""
    return get_component(POSITION_EMBEDDINGS, "position", config.position)(config)


def get_component(table: dict[str, Any], field: str, name: str) -> Any:
    """Return the component of that name.

    Raises:
        UserError: there is none; the names that exist are listed.
    """
    if name not in table:
        raise UserError(f"The configuration asks for {field} = {name!r}; choose one of {', '.join(table)}.")
    return table[name]


def meta_model(config: GPTConfig) -> GPT:
    """Build a model without memory for its weights, to look at its shapes."""
    with torch.device("meta"):
        return GPT(config)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable numbers in a model, a shared matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def init_weights(model: nn.Module, n_layer: int, std: float = 0.02) -> None:
    """Draw all matrices from N(0, std²), biases 0; the writes to the residual stream get std / √(2·n_layer)."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            writes_to_stream = name.endswith(("attention.out", "mlp.down"))
            nn.init.normal_(module.weight, std=std / (2 * n_layer) ** 0.5 if writes_to_stream else std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def checkpoint_activations(module: nn.Module) -> None:
    """Let a module keep only its input for the backward pass, and run again there (Chen et al., 2016).

    The gradients stay the same to the bit, with dropout too: the second run draws the same random numbers.
    """
    module.forward = partial(checkpoint, module.forward, use_reentrant=False)
