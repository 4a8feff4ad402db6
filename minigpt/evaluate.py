"""How well a model predicts a text: loss, perplexity, bits per token and per character.

Shapes: N tokens of the text, B batch, T time, V vocabulary.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.config import require
from minigpt.tokenizers import Tokenizer


@dataclass(frozen=True)
class Evaluation:
    """The mean cross-entropy over `n_tokens` predictions, in nats, and what follows from it."""

    loss: float
    n_tokens: int
    n_characters: int | None = None

    @property
    def perplexity(self) -> float:
        """e to the loss: the number of equally likely tokens that would be as hard to guess among."""
        return math.exp(self.loss) if self.loss < 700 else math.inf  # beyond that, a float overflows

    @property
    def bits_per_token(self) -> float:
        """The loss in bits."""
        return self.loss / math.log(2)

    @property
    def bits_per_character(self) -> float:
        """The loss in bits, spread over the characters of the text: comparable between tokenizers (Shannon, 1951).

        Raises:
            UserError: the number of characters is not known, since no tokenizer was given.
        """
        require(self.n_characters is not None, "Pass tokenizer=… to evaluate, so that characters can be counted.")
        return self.bits_per_token * self.n_tokens / self.n_characters

    @classmethod
    def over_all(cls, parts: Iterable[Self]) -> Self:
        """Put the evaluations of several texts together, each with the weight of its predictions."""
        parts = list(parts)
        n_tokens = sum(part.n_tokens for part in parts)
        loss = sum(part.loss * part.n_tokens for part in parts) / n_tokens
        counted = all(part.n_characters is not None for part in parts)
        return cls(loss, n_tokens, sum(part.n_characters for part in parts) if counted else None)

    def __str__(self) -> str:
        parts = [f"loss {self.loss:.4f} nats per token", f"perplexity {self.perplexity:.3f}"]
        if self.n_characters is not None:
            parts.append(f"{self.bits_per_character:.3f} bits per character")
        return f"{', '.join(parts)}, over {self.n_tokens:,} tokens"


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of logits (B, T, V) against target ids (B, T)."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    ids: Tensor,
    block_size: int,
    *,
    tokenizer: Tokenizer | None = None,
    batch_size: int = 32,
    max_windows: int | None = None,
) -> Evaluation:
    """Evaluate a model on windows of `block_size` tokens that follow one another without overlap.

    ids: (N,). Every token but the first is predicted exactly once; the last window may be shorter. With
    `max_windows`, only that many windows, spread evenly over the text, are used.

    Raises:
        UserError: there are fewer than two tokens, or a size is not positive.
    """
    for name, size in (("block_size", block_size), ("batch_size", batch_size), ("max_windows", max_windows)):
        require(size is None or size > 0, f"{name} = {size} must be at least 1.")
    require(len(ids) >= 2, f"A text of {len(ids)} tokens has nothing to predict; use at least 2 tokens.")
    starts = list(range(0, len(ids) - 1, block_size))
    if max_windows is not None and max_windows < len(starts):
        full = len(starts) - 1  # the last window may be short, and windows of one length share a batch
        starts = [starts[i * full // max_windows] for i in range(max_windows)]
    windows = [ids[start : start + block_size + 1] for start in starts]
    full_windows = [window for window in windows if len(window) == block_size + 1]
    batches = [torch.stack(full_windows[i : i + batch_size]) for i in range(0, len(full_windows), batch_size)]
    batches += [window.unsqueeze(0) for window in windows if len(window) <= block_size]

    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total = 0.0
    try:
        for batch in batches:
            batch = batch.to(device).long()  # ids may be kept as bytes
            total += cross_entropy(model(batch[:, :-1]), batch[:, 1:]).item() * batch[:, 1:].numel()
    finally:
        model.train(was_training)

    predicted = torch.cat([window[1:] for window in windows])
    n_characters = len(tokenizer.decode(predicted.tolist())) if tokenizer else None
    return Evaluation(total / len(predicted), len(predicted), n_characters)
