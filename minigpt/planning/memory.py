"""How much memory a model needs, estimated from its configuration: for training and for generation, in bytes.

Everything is float32. Symbols: B batch, T context, L layers, C width, F hidden width of the MLP, H heads,
V vocabulary, P parameters, K width of all keys.
"""

from dataclasses import dataclass

from minigpt.checkpointing import RECOMPUTED
from minigpt.config import GATED, GPTConfig, require
from minigpt.planning.counting import count

FLOAT = 4
MASK = {"cpu": 4, "cuda": 1, "mps": 4}  # bytes that dropout keeps for each number


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


def training_memory(config: GPTConfig, batch_size: int, device: str = "cpu", accumulate: int = 1) -> TrainingMemory:
    """Estimate the memory of a training step of the `Trainer`: float32, AdamW, gradients freed between steps.

    With `accumulate`, the batch goes through the model in so many pieces. The program itself, and what the
    allocator cannot use again, come on top.

    Raises:
        UserError: `batch_size` or `accumulate` is not positive.
    """
    for name, number in (("batch_size", batch_size), ("accumulate", accumulate)):
        require(number > 0, f"{name} = {number} must be at least 1.")
    parameters = count(config)
    piece = -(-batch_size // accumulate)
    tokens = piece * config.block_size
    # A tied matrix gets a gradient from the head and one from the embedding, and a third for their sum.
    tied = 2 * config.vocab_size * config.n_embd if config.tie_weights else 0
    loss = 3 * tokens * config.vocab_size
    # Naive attention holds two more matrices of scores, while the last block's MLP holds nothing.
    naive_scores = score_numbers(config, piece) if config.attend == "naive" else 0
    scores = 2 * naive_scores - tokens * (2 * config.hidden + 4 * config.n_embd)
    parts = part_numbers(config, piece)
    again = sum(parts[name] for name in recomputed_parts(config))
    return TrainingMemory(
        weights=FLOAT * parameters,
        optimizer=2 * FLOAT * parameters,
        gradients=FLOAT * (parameters + tied),
        activations=activation_bytes(config, piece, device),
        workspace=FLOAT * max(loss, scores + again, tokens * config.hidden + again),
        accumulated=FLOAT * parameters if accumulate > 1 else 0,
    )


def activation_bytes(config: GPTConfig, batch_size: int, device: str = "cpu") -> int:
    """Return what the forward pass keeps for the backward pass, in bytes.

    With the parts of GPT-2, a block keeps for each token 8·C numbers (the residual stream twice, both norms' outputs,
    q, k and v, and attention's output) and 2·F (before and after GELU); each dropout keeps its mask. Naive attention
    adds its weights, H·T for each token. The sum is that of Korthikanti et al. (2022, section 4), without their half
    precision and without dropout on the weights. A part that is computed again keeps its input only.
    """
    tokens = batch_size * config.block_size
    parts = part_numbers(config, batch_size)
    dropped = recomputed_parts(config)
    block = sum(numbers for name, numbers in parts.items() if name not in dropped)
    outside = tokens * 2 * config.n_embd  # the last norm's input and its output
    kept_masks = config.n_layer * len({"attention", "mlp"} - set(dropped)) + 1
    masks = tokens * kept_masks * config.n_embd if config.dropout > 0 else 0
    return FLOAT * (config.n_layer * block + outside) + MASK[device] * masks


def recomputed_parts(config: GPTConfig) -> tuple[str, ...]:
    """Return the parts of a block, as in `part_numbers`, that are computed again rather than kept."""
    modules = RECOMPUTED[config.checkpointing]
    return ("norms", "attention", "mlp") if "" in modules else modules  # "" is the whole block


def part_numbers(config: GPTConfig, batch_size: int) -> dict[str, int]:
    """Return how many numbers the parts of one block keep for the backward pass, without masks of dropout."""
    tokens, width = batch_size * config.block_size, config.n_embd
    norm = width if config.norm == "layernorm" else 2 * width  # RMSNorm's numbers before the scale, too
    mlp = 4 * config.hidden if config.mlp in GATED else 2 * config.hidden
    return {
        "input": tokens * width,
        "norms": tokens * (width + 2 * norm),  # and the stream between the halves
        "attention": tokens * (width + projection_numbers(config)) + score_numbers(config, batch_size),
        "mlp": tokens * mlp,
    }


def projection_numbers(config: GPTConfig) -> int:
    """Return how many numbers of queries, keys and values an attention layer keeps for each token.

    They are pieces of one product, C + 2·K numbers, unless something makes new ones of them: rotation, a norm, or
    the repetition of keys and values for a group of heads. A single head of them is repeated without a copy.
    """
    queries, keys = config.n_embd, config.kv_heads * config.head_size
    product = queries + 2 * keys
    normed = queries + keys if config.qk_norm else 0
    if config.attend == "naive":  # which copies all three into another order
        return 3 * queries + (product + normed if config.qk_norm else 0)
    turned = config.qk_norm or config.position == "rope"
    grouped = 1 < config.kv_heads < config.n_head
    own_keys = queries if grouped else keys if turned else 0
    own = (queries if turned else 0) + own_keys + (queries if grouped else 0)
    output = queries if config.qk_norm else 0  # attention's output, in another order
    needs_product = config.qk_norm or not (turned and grouped)
    return own + normed + output + (product if needs_product else 0)


def score_numbers(config: GPTConfig, batch_size: int) -> int:
    """Return how many scores a layer keeps: B·H·T·T weights, one H·T·T bias that is the same for all texts, or none."""
    scores = config.n_head * config.block_size**2
    return batch_size * scores if config.attend == "naive" else scores if config.position == "alibi" else 0


def generation_memory(config: GPTConfig, batch_size: int = 1) -> GenerationMemory:
    """Estimate the memory of writing with a full context, without gradients; the cache holds 2·L·K·T numbers a text.

    Raises:
        UserError: `batch_size` is not positive.
    """
    require(batch_size > 0, f"batch_size = {batch_size} must be at least 1.")
    tokens = batch_size * config.block_size
    cache = tokens * 2 * config.n_layer * config.kv_heads * config.head_size
    mlp = tokens * (2 * config.n_embd + 2 * config.hidden)
    attention = tokens * 6 * config.n_embd + 3 * score_numbers(config, batch_size)
    head = tokens * 2 * config.n_embd + batch_size * config.vocab_size  # which reads the last place only
    return GenerationMemory(FLOAT * count(config), FLOAT * cache, FLOAT * max(mlp, attention, head))
