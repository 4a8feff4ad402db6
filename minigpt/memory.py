"""How much memory a model needs, estimated from its configuration: for training and for generation, in bytes.

Everything is float32. Symbols: B batch, T context, L layers, C width, F hidden width of the MLP, H heads,
V vocabulary, P parameters.
"""

from dataclasses import dataclass

from minigpt.config import GPTConfig, require
from minigpt.counting import count

FLOAT = 4
MASK = {"cpu": 4, "cuda": 1, "mps": 4}  # bytes that dropout keeps for each number


@dataclass(frozen=True)
class TrainingMemory:
    """What a training step holds, in bytes.

    `activations` is what the forward pass keeps for the backward pass; `workspace` is what comes on top where the
    backward pass begins: the logits, their softmax and their gradient, or what one block needs, if that is more.
    `accumulated` is the gradients that earlier pieces of the batch have left by then.
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
    """What writing holds, in bytes: the weights, and the workspace of one forward pass over a full context."""

    weights: int
    workspace: int

    @property
    def peak(self) -> int:
        """Both together."""
        return self.weights + self.workspace


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
    scores = 2 * score_numbers(config, piece) - tokens * (2 * config.hidden + 4 * config.n_embd)
    return TrainingMemory(
        weights=FLOAT * parameters,
        optimizer=2 * FLOAT * parameters,
        gradients=FLOAT * (parameters + tied),
        activations=activation_bytes(config, piece, device),
        workspace=FLOAT * max(loss, scores, tokens * config.hidden),
        accumulated=FLOAT * parameters if accumulate > 1 else 0,
    )


def activation_bytes(config: GPTConfig, batch_size: int, device: str = "cpu") -> int:
    """Return what the forward pass keeps for the backward pass, in bytes.

    For each token, a block keeps 8·C numbers (the residual stream twice, both norms' outputs, q, k and v, and
    attention's output) and 2·F (before and after GELU); each dropout keeps its mask. Naive attention adds its
    weights, H·T for each token. The sum is that of Korthikanti et al. (2022, section 4), without their half
    precision and without dropout on the weights.
    """
    tokens = batch_size * config.block_size
    width = config.n_embd
    block = tokens * (8 * width + 2 * config.hidden)
    outside = tokens * 2 * width  # the last norm's input and its output
    masks = tokens * (2 * config.n_layer + 1) * width if config.dropout > 0 else 0
    numbers = config.n_layer * (block + score_numbers(config, batch_size)) + outside
    return FLOAT * numbers + MASK[device] * masks


def score_numbers(config: GPTConfig, batch_size: int) -> int:
    """Return how many attention weights a layer keeps: B·H·T·T, or none if they are never stored."""
    return batch_size * config.n_head * config.block_size**2 if config.attend == "naive" else 0


def generation_memory(config: GPTConfig, batch_size: int = 1) -> GenerationMemory:
    """Estimate the memory of writing with a full context, without gradients and without a cache.

    Raises:
        UserError: `batch_size` is not positive.
    """
    require(batch_size > 0, f"batch_size = {batch_size} must be at least 1.")
    tokens = batch_size * config.block_size
    mlp = tokens * (2 * config.n_embd + 2 * config.hidden)
    attention = tokens * 6 * config.n_embd + 3 * score_numbers(config, batch_size)
    head = tokens * (2 * config.n_embd + config.vocab_size)
    return GenerationMemory(FLOAT * count(config), FLOAT * max(mlp, attention, head))
