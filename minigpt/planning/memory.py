"""How much memory a model needs, estimated from its configuration: for training and for generation, in bytes.

Everything is float32. Symbols: B batch, T context, L layers, C width, F hidden width of the MLP, H heads,
V vocabulary, P parameters, K width of all keys.
"""

from dataclasses import dataclass

from minigpt.config import GATED_MLPS, GPTConfig
from minigpt.planning.counting import num_parameters
from minigpt.utils.errors import UserError

FLOAT_BYTES = 4


MASK_BYTES = {"cpu": 4, "cuda": 1, "mps": 4}  # bytes that dropout keeps for each number


@dataclass(frozen=True)
class TrainingMemory:
    """What a training step holds, in bytes.

    `activations` is what the forward pass keeps for the backward pass; `workspace` is what comes on top where the
    backward pass begins: the log-probabilities, the gradient with respect to them and that with respect to the logits,
    or what one block needs, if that is more. `accumulated` is the gradients that earlier pieces of the batch have left.
    """

    weights: int
    optimizer: int
    gradients: int
    activations: int
    workspace: int
    accumulated: int = 0

    @property
    def before_backward(self) -> int:
        """The need where the (last) backward pass begins: all activations, and the gradients of earlier pieces."""
        return self.weights + self.optimizer + self.accumulated + self.activations + self.workspace

    @property
    def after_backward(self) -> int:
        """The need where the backward pass ends: all gradients, and no activations any more."""
        return self.weights + self.optimizer + self.gradients

    @property
    def peak(self) -> int:
        """The larger of the two: activations go as gradients come, so that the need lies between them on the way."""
        return max(self.before_backward, self.after_backward)


@dataclass(frozen=True)
class GenerationMemory:
    """What writing holds, in bytes: weights, cache, and the workspace of one forward pass over a full context."""

    weights: int
    cache: int
    workspace: int

    @property
    def peak(self) -> int:
        """All three together."""
        return self.weights + self.cache + self.workspace


def training_memory(
    config: GPTConfig, batch_size: int, device: str = "cpu", grad_accum_steps: int = 1
) -> TrainingMemory:
    """Estimate the memory of a training step of the `Trainer`: float32, AdamW, gradients freed between steps.

    With `grad_accum_steps`, the batch goes through the model in so many pieces. The program itself, and what the
    allocator cannot use again, come on top.

    Raises:
        UserError: `batch_size` or `grad_accum_steps` is not positive.
    """
    for name, number in (("batch_size", batch_size), ("grad_accum_steps", grad_accum_steps)):
        if number <= 0:
            raise UserError(f"{name} = {number} must be at least 1.")
    parameters = num_parameters(config)
    piece = -(-batch_size // grad_accum_steps)
    tokens = piece * config.block_size
    # A tied matrix gets a gradient from the head and one from the embedding, and a third for their sum.
    tied = 2 * config.vocab_size * config.n_embd if config.tie_weights else 0
    loss = 3 * tokens * config.vocab_size
    # Naive attention holds two more matrices of scores, while the last block's MLP holds nothing.
    naive_scores = _score_activations(config, piece) if config.attn_impl == "naive" else 0
    scores = 2 * naive_scores - tokens * (2 * config.hidden_dim + 4 * config.n_embd)
    parts = activations_by_part(config, piece)
    again = sum(parts[name] for name in _recomputed_parts(config))
    return TrainingMemory(
        weights=FLOAT_BYTES * parameters,
        optimizer=2 * FLOAT_BYTES * parameters,
        gradients=FLOAT_BYTES * (parameters + tied),
        activations=activation_bytes(config, piece, device),
        workspace=FLOAT_BYTES * max(loss, scores + again, tokens * config.hidden_dim + again),
        accumulated=FLOAT_BYTES * parameters if grad_accum_steps > 1 else 0,
    )


def activation_bytes(config: GPTConfig, batch_size: int, device: str = "cpu") -> int:
    """Return what the forward pass keeps for the backward pass, in bytes.

    With the parts of GPT-2, a block keeps for each token 8·C numbers (the residual stream twice, both norms' outputs,
    q, k and v, and attention's output) and 2·F (before and after GELU); each dropout keeps its mask. Naive attention
    adds its weights, H·T for each token. The sum is that of Korthikanti et al. (2022, section 4), without their half
    precision and without dropout on the weights. A part that is computed again keeps its input only.
    """
    tokens = batch_size * config.block_size
    parts = activations_by_part(config, batch_size)
    dropped = _recomputed_parts(config)
    block = sum(numbers for name, numbers in parts.items() if name not in dropped)
    outside = tokens * 2 * config.n_embd  # the last norm's input and its output
    kept_masks = config.n_layer * len({"attention", "mlp"} - set(dropped)) + 1
    masks = tokens * kept_masks * config.n_embd if config.dropout > 0 else 0
    return FLOAT_BYTES * (config.n_layer * block + outside) + MASK_BYTES[device] * masks


def _recomputed_parts(config: GPTConfig) -> tuple[str, ...]:
    """Return the parts of a block, as in `activations_by_part`, that are computed again rather than kept."""
    whole = {"none": (), "block": ("norms", "attention", "mlp")}
    return whole.get(config.activation_checkpointing, (config.activation_checkpointing,))


def activations_by_part(config: GPTConfig, batch_size: int) -> dict[str, int]:
    """Return how many numbers the parts of one block keep for the backward pass, without masks of dropout."""
    tokens, width = batch_size * config.block_size, config.n_embd
    norm = width if config.norm == "layernorm" else 2 * width  # RMSNorm's numbers before the scale, too
    mlp = 4 * config.hidden_dim if config.mlp in GATED_MLPS else 2 * config.hidden_dim
    return {
        "input": tokens * width,
        "norms": tokens * (width + 2 * norm),  # and the stream between the halves
        "attention": tokens * (width + _projection_activations(config)) + _score_activations(config, batch_size),
        "mlp": tokens * mlp,
    }


def _projection_activations(config: GPTConfig) -> int:
    """Return how many numbers of queries, keys and values an attention layer keeps for each token.

    They are pieces of one product, C + 2·K numbers, unless something makes new ones of them: rotation, a norm, or
    the repetition of keys and values for a group of heads. A single head of them is repeated without a copy.
    """
    queries, keys = config.n_embd, config.num_kv_heads * config.head_dim
    product = queries + 2 * keys
    normed = queries + keys if config.qk_norm else 0
    if config.attn_impl == "naive":  # which copies all three into another order
        return 3 * queries + (product + normed if config.qk_norm else 0)
    turned = config.qk_norm or config.position == "rope"
    grouped = 1 < config.num_kv_heads < config.n_head
    own_keys = queries if grouped else keys if turned else 0
    own = (queries if turned else 0) + own_keys + (queries if grouped else 0)
    output = queries if config.qk_norm else 0  # attention's output, in another order
    needs_product = config.qk_norm or not (turned and grouped)
    return own + normed + output + (product if needs_product else 0)


def _score_activations(config: GPTConfig, batch_size: int) -> int:
    """Return how many scores a layer keeps: B·H·T·T weights, one H·T·T bias that is the same for all texts, or none."""
    scores = config.n_head * config.block_size**2
    return batch_size * scores if config.attn_impl == "naive" else scores if config.position == "alibi" else 0


def generation_memory(config: GPTConfig, batch_size: int = 1) -> GenerationMemory:
    """Estimate the memory of writing with a full context, without gradients; the cache holds 2·L·K·T numbers a text.

    Raises:
        UserError: `batch_size` is not positive.
    """
    if batch_size <= 0:
        raise UserError(f"batch_size = {batch_size} must be at least 1.")
    tokens = batch_size * config.block_size
    cache = tokens * 2 * config.n_layer * config.num_kv_heads * config.head_dim
    mlp = tokens * (2 * config.n_embd + 2 * config.hidden_dim)
    attention = tokens * 6 * config.n_embd + 3 * _score_activations(config, batch_size)
    head = tokens * 2 * config.n_embd + batch_size * config.vocab_size  # which reads the last place only
    return GenerationMemory(
        FLOAT_BYTES * num_parameters(config), FLOAT_BYTES * cache, FLOAT_BYTES * max(mlp, attention, head)
    )
