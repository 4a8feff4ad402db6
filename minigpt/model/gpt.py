"""The GPT: token embedding, positions, a stack of pre-norm blocks, a final norm, and the LM head.

Shapes: B batch, T time, C embedding dimension, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minigpt.config import ACTIVATION_CHECKPOINTING, GPTConfig
from minigpt.model.attention import ATTENTION_FUNCTIONS, CausalSelfAttention
from minigpt.model.kv_cache import KVCache
from minigpt.model.layers import MLPS, NORMS, RMSNorm
from minigpt.model.position import POSITION_EMBEDDINGS, LeftPadded, PositionEmbedding
from minigpt.utils.errors import UserError
from minigpt.utils.ids import as_ids

Factory = Callable[[GPTConfig], nn.Module]


class Block(nn.Module):
    """One pre-norm transformer block: attention, then the MLP, each added to the residual stream.

    `activation_checkpointing` names the part that keeps only its input and is computed again in the backward pass:
    "none", "attention", "mlp" or "block" (Chen et al., 2016). The gradients stay equal, with dropout too.
    """

    def __init__(
        self,
        attention_norm: nn.Module,
        attention: nn.Module,
        mlp_norm: nn.Module,
        mlp: nn.Module,
        activation_checkpointing: str = "none",
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.mlp_norm = mlp_norm
        self.mlp = mlp
        self.activation_checkpointing = activation_checkpointing

    def forward(
        self, x: Tensor, position: PositionEmbedding | None = None, kv_cache: KVCache | None = None
    ) -> Tensor:  # (B, T, C) -> (B, T, C)
        if self.activation_checkpointing == "block":
            return checkpoint(self._forward, x, position, kv_cache, use_reentrant=False)
        return self._forward(x, position, kv_cache)

    def _forward(self, x: Tensor, position: PositionEmbedding | None, kv_cache: KVCache | None) -> Tensor:
        inputs: list[Any] = [self.attention_norm(x)]
        if isinstance(self.attention, CausalSelfAttention):  # a layer of the reader's own takes x alone
            inputs += [position, kv_cache]
        if self.activation_checkpointing == "attention":
            x = x + checkpoint(self.attention, *inputs, use_reentrant=False)
        else:
            x = x + self.attention(*inputs)
        if self.activation_checkpointing == "mlp":
            return x + checkpoint(self.mlp, self.mlp_norm(x), use_reentrant=False)
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    """A decoder-only transformer (Radford et al., 2019) whose parts can be replaced one by one.

    Each keyword takes a factory that is called with the configuration: `GPT(config, mlp=lambda config: MyMLP(…))`.
    A factory left out is looked up by the name in the configuration.

    Raises:
        UserError: the configuration names a component that does not exist, or the position scheme acts inside
            attention and the attention layer does not let it.
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
        self.custom_components = [name for name, factory in given.items() if factory is not None]
        _get_component(
            dict.fromkeys(ACTIVATION_CHECKPOINTING), "activation_checkpointing", config.activation_checkpointing
        )
        norm, attention = norm or build_norm, attention or build_attention
        mlp, position = mlp or _build_mlp, position or _build_position

        self.token_embedding = nn.Embedding(config.vocab_size, config.n_embd)
        self.position = position(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(norm(config), attention(config), norm(config), mlp(config), config.activation_checkpointing)
            for _ in range(config.n_layer)
        )
        self.final_norm = norm(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=config.lm_head_bias)
        _check_position(self.position, cast(Block, self.blocks[0]).attention)
        init_weights(self, config.n_layer, zero_init=config.zero_init)
        if config.tie_weights:
            self.lm_head.weight = self.token_embedding.weight

    def forward(self, ids: Tensor, kv_cache: list[KVCache] | None = None, n_pad: Sequence[int] | None = None) -> Tensor:
        """Return the logits of the next token at every position: (B, T) -> (B, T, V).

        With a cache from `make_kv_cache`, the ids go on from those that the cache has seen, and it takes them in.
        Texts of unequal length are filled up on the left: the first `n_pad[b]` ids of row b, those in the cache
        included, are then neither counted nor seen by the others, and their own logits mean nothing.

        Raises:
            UserError: the ids have another shape, or the sequence is longer than `block_size`.
        """
        return self.lm_head(self.hidden_states(ids, kv_cache, n_pad))

    def hidden_states(
        self, ids: Tensor, kv_cache: list[KVCache] | None = None, n_pad: Sequence[int] | None = None
    ) -> Tensor:
        """Return what the LM head turns into logits, as `forward` does: (B, T) -> (B, T, C)."""
        ids = as_ids(ids).to(next(self.parameters()).device)
        offset = 0 if kv_cache is None else len(kv_cache[0])
        if ids.dim() != 2:
            raise UserError(f"The ids have the shape {tuple(ids.shape)}, not (B, T); add a batch with ids[None].")
        if offset + ids.size(1) > self.config.block_size:
            raise UserError(
                f"The sequence has {offset + ids.size(1)} tokens but the model's block_size is "
                f"{self.config.block_size}; pass at most that many."
            )
        x = self.token_embedding(ids)  # (B, T, C)
        scheme = self.position if n_pad is None else _left_padded(self, n_pad, x)
        x = self.dropout(scheme(x) if kv_cache is None else scheme(x, offset))
        position = scheme if isinstance(scheme, PositionEmbedding) else None
        for layer, block in enumerate(self.blocks):
            x = block(x, position, None if kv_cache is None else kv_cache[layer])
        return self.final_norm(x)  # (B, T, C)

    def make_kv_cache(self, batch_size: int = 1, max_seq_len: int | None = None) -> list[KVCache]:
        """Return an empty cache for each block, with room for `max_seq_len` tokens (`block_size` if unset).

        Raises:
            UserError: a block's attention is not the package's.
        """
        weight, caches = self.token_embedding.weight, []
        for block in self.blocks:
            layer = block.attention
            if not isinstance(layer, CausalSelfAttention):
                name = type(layer).__name__
                raise UserError(f"{name} takes no KV cache; build on CausalSelfAttention, or generate without a cache.")
            size = max_seq_len or self.config.block_size
            caches.append(layer.make_kv_cache(batch_size, size, weight.device, weight.dtype))
        return caches


def build_norm(config: GPTConfig) -> nn.Module:
    """Build the norm that the configuration names."""
    return _get_component(NORMS, "norm", config.norm)(config)


def build_attention(config: GPTConfig) -> nn.Module:
    """Build the attention layer with the formula that the configuration names."""
    return CausalSelfAttention(
        config.n_embd,
        config.n_head,
        config.bias,
        config.dropout,
        _get_component(ATTENTION_FUNCTIONS, "attn_impl", config.attn_impl),
        n_kv_head=config.n_kv_head,
        qk_norm=RMSNorm if config.qk_norm else None,
    )


def _build_mlp(config: GPTConfig) -> nn.Module:
    """Build the MLP that the configuration names."""
    return _get_component(MLPS, "mlp", config.mlp)(config)


def _build_position(config: GPTConfig) -> nn.Module:
    """Build the position scheme that the configuration names."""
    return _get_component(POSITION_EMBEDDINGS, "position", config.position)(config)


def _get_component(table: dict[str, Any], field: str, name: str) -> Any:
    """Return the component of that name.

    Raises:
        UserError: there is none; the names that exist are listed.
    """
    if name not in table:
        raise UserError(f"The configuration asks for {field} = {name!r}; choose one of {', '.join(table)}.")
    return table[name]


def _check_position(position: nn.Module, attention: nn.Module) -> None:
    """Raise `UserError` if a position scheme acts inside attention and the layer does not let it."""
    if isinstance(attention, CausalSelfAttention) or not isinstance(position, PositionEmbedding):
        return
    methods = (type(position).apply_rotary, type(position).attn_bias)
    if methods != (PositionEmbedding.apply_rotary, PositionEmbedding.attn_bias):
        raise UserError(
            f"{type(position).__name__} acts inside attention, which {type(attention).__name__} does not let it do; "
            "build on CausalSelfAttention, or take position='none' and do it there."
        )


def _left_padded(model: GPT, n_pad: Sequence[int], x: Tensor) -> LeftPadded:
    """Return the positions of texts that begin with padding: embeddings x (B, T, C).

    Raises:
        UserError: a part of the model would see the padding.
    """
    layers = [cast(Block, block).attention for block in model.blocks]
    own = next((layer for layer in layers if not isinstance(layer, CausalSelfAttention)), None)
    if own is not None or not isinstance(model.position, PositionEmbedding):
        name = type(own or model.position).__name__
        raise UserError(f"{name} does not know of padding; give the model texts of one length at a time.")
    return LeftPadded(model.position, n_pad, x)


def init_weights(model: nn.Module, n_layer: int, std: float = 0.02, zero_init: bool = False) -> None:
    """Draw all matrices from N(0, std²), biases 0; residual projections get std / √(2·n_layer), or 0 (`zero_init`).

    With an output of 0 (Goyal et al., 2017), every block passes its input on unchanged at first.
    """
    residual_std = 0.0 if zero_init else std / (2 * n_layer) ** 0.5
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=residual_std if _is_residual_projection(name) else std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _is_residual_projection(name: str) -> bool:
    """Return whether a layer, by its name, writes its output into the residual stream."""
    return name.endswith(("attention.out", "mlp.down"))


def meta_model(config: GPTConfig) -> GPT:
    """Build a model without memory for its weights, to look at its shapes."""
    with torch.device("meta"):
        return GPT(config)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters of a model, a shared matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
