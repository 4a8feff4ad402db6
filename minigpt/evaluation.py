"""How well a model predicts a text: loss, perplexity, bits per token, per character and per byte.

Shapes: N tokens of the text, B batch, T time, V vocabulary.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.config import require
from minigpt.data import Ids
from minigpt.errors import present
from minigpt.text_size import TextMeter, TextSize
from minigpt.tokenizers import Tokenizer


@dataclass(frozen=True)
class Evaluation:
    """The mean cross-entropy over `n_tokens` predictions, in nats, and what follows from it.

    How much text the predicted tokens stand for is None where no tokenizer was given to tell.
    """

    loss: float
    n_tokens: int
    n_characters: int | None = None
    n_bytes: int | None = None

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
            UserError: the number of characters is not known, or is 0.
        """
        return self.spread_over("characters", self.n_characters)

    @property
    def bits_per_byte(self) -> float:
        """The loss in bits, spread over the bytes of the text in UTF-8: comparable between tokenizers and scripts.

        Raises:
            UserError: the number of bytes is not known, or is 0.
        """
        return self.spread_over("bytes", self.n_bytes)

    def spread_over(self, unit: str, number: int | None) -> float:
        """Return the bits of all predictions together, shared among so many units of text."""
        number = present(number, f"Pass tokenizer=… to evaluate, so that {unit} can be counted.")
        require(number > 0, f"The tokens stand for no text, so there are no bits per {unit[:-1]}; use a longer text.")
        return self.bits_per_token * self.n_tokens / number

    @classmethod
    def over_all(cls, parts: Iterable[Self]) -> Self:
        """Put the evaluations of several texts together, each with the weight of its predictions."""
        parts = list(parts)
        n_tokens = sum(part.n_tokens for part in parts)
        loss = sum(part.loss * part.n_tokens for part in parts) / n_tokens
        sizes = {}
        for name in ("n_characters", "n_bytes"):
            counts = [getattr(part, name) for part in parts]
            sizes[name] = None if None in counts else sum(counts)
        return cls(loss, n_tokens, **sizes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and all that follows from them as JSON values; None stands for what is not known."""
        derived = {
            "perplexity": self.perplexity if self.perplexity < math.inf else None,
            "bits_per_token": self.bits_per_token,
            "bits_per_character": self.bits_per_character if self.n_characters else None,
            "bits_per_byte": self.bits_per_byte if self.n_bytes else None,
        }
        return asdict(self) | derived

    def __str__(self) -> str:
        said = f"loss {self.loss:.4f} nats per token, perplexity {self.perplexity:.3f}"
        if self.n_characters:
            said += f", {self.bits_per_character:.3f} bits per character"
        if self.n_bytes and self.n_bytes != self.n_characters:
            said += f" ({self.bits_per_byte:.3f} per byte)"
        return f"{said}, over {self.n_tokens:,} tokens"


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of logits (B, T, V) against target ids (B, T)."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    ids: Ids,
    block_size: int,
    *,
    tokenizer: Tokenizer | None = None,
    batch_size: int = 32,
    max_windows: int | None = None,
) -> Evaluation:
    """Evaluate a model on windows of `block_size` tokens that follow one another without overlap.

    ids: (N,), read as they are needed. Every token but the first is predicted exactly once; the last window may be
    shorter. With `max_windows`, only that many windows, spread evenly over the text, are used. With `tokenizer`, the
    characters and bytes of the predicted tokens are counted.

    Raises:
        UserError: there are fewer than two tokens, or a size is not positive.
    """
    for name, size in (("block_size", block_size), ("batch_size", batch_size), ("max_windows", max_windows)):
        require(size is None or size > 0, f"{name} = {size} must be at least 1.")
    require(len(ids) >= 2, f"A text of {len(ids)} tokens has nothing to predict; use at least 2 tokens.")
    meter = TextMeter(tokenizer) if tokenizer else None
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, n_tokens, sizes = 0.0, 0, []
    try:
        for batch in batches_in_order(ids, block_size, batch_size, max_windows):
            batch = batch.to(device).long()  # ids may be kept as bytes
            predicted = batch[:, 1:]
            total += cross_entropy(model(batch[:, :-1]), predicted).item() * predicted.numel()
            n_tokens += predicted.numel()
            sizes += [meter.measure(predicted.cpu())] if meter else []
    finally:
        model.train(was_training)
    counted = TextSize(*map(sum, zip(*sizes, strict=True))) if meter else (None, None)
    return Evaluation(total / n_tokens, n_tokens, *counted)


def batches_in_order(ids: Ids, block_size: int, batch_size: int, max_windows: int | None) -> Iterator[Tensor]:
    """Yield windows with their targets, (B, T + 1), read when they are needed; a short last one comes by itself."""
    starts: Sequence[int] = range(0, len(ids) - 1, block_size)
    if max_windows is not None and max_windows < len(starts):
        full = len(starts) - 1  # leave the last one out, which may be short
        starts = [starts[i * full // max_windows] for i in range(max_windows)]
    for i in range(0, len(starts), batch_size):
        windows = [ids[start : start + block_size + 1] for start in starts[i : i + batch_size]]
        short = windows.pop() if len(windows[-1]) <= block_size else None
        if windows:
            yield torch.stack(windows)
        if short is not None:
            yield short.unsqueeze(0)
