"""How well a model predicts a text: loss, perplexity, bits per token, per character and per byte.

Shapes: N tokens of the text, B batch, T time, V vocabulary.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.data.batches import TokenSequence
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError, not_none
from minigpt.utils.ids import as_ids
from minigpt.utils.modes import evaluation_mode
from minigpt.utils.numbers import to_int


class TextLength(NamedTuple):
    """A number of characters and of bytes in UTF-8."""

    n_characters: int
    n_bytes: int


class TextLengthCounter:
    """Count the characters and bytes that tokens stand for, without putting the text together.

    A character counts where it begins, so that texts cut anywhere, even within a character, add up to the whole.
    Special tokens, such as the border between two documents, stand for no text. What is no `Tokenizer` of this
    package is asked to decode.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.sizes = token_lengths(tokenizer) if isinstance(tokenizer, Tokenizer) else None  # (V, 2)

    def measure(self, ids: Any) -> TextLength:
        """Return how much text ids of any shape stand for.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        ids = as_ids(ids)
        if self.sizes is None:
            text = self.tokenizer.decode(ids.flatten().tolist())
            return TextLength(len(text), len(text.encode("utf-8", "surrogatepass")))
        largest, known = int(ids.max()), len(self.sizes)
        if largest >= known:
            raise UserError(
                f"Token id {largest} is outside the vocabulary, 0 to {known - 1}; use the model's own tokenizer."
            )
        return TextLength(*self.sizes[ids.flatten()].sum(dim=0).tolist())


def token_lengths(tokenizer: Tokenizer) -> Tensor:
    """Return the number of characters that begin in each token, and of its bytes: (V, 2)."""
    tokens = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
    for id in tokenizer.special_tokens.values():
        tokens[id] = b""
    return torch.tensor([(sum(map(begins_character, token)), len(token)) for token in tokens])


def begins_character(byte: int) -> bool:
    """Return whether a byte of UTF-8 is the first of its character: all others have the bits 10 at the front."""
    return byte >> 6 != 0b10


@dataclass(frozen=True)
class EvalResult:
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
        return self._bits_per("characters", self.n_characters)

    @property
    def bits_per_byte(self) -> float:
        """The loss in bits, spread over the bytes of the text in UTF-8: comparable between tokenizers and scripts.

        Raises:
            UserError: the number of bytes is not known, or is 0.
        """
        return self._bits_per("bytes", self.n_bytes)

    def _bits_per(self, unit: str, number: int | None) -> float:
        """Return the bits of all predictions together, shared among so many units of text."""
        number = not_none(number, f"Pass tokenizer=… to evaluate, so that {unit} can be counted.")
        if number <= 0:
            raise UserError(f"The tokens stand for no text, so there are no bits per {unit[:-1]}; use a longer text.")
        return self.bits_per_token * self.n_tokens / number

    @classmethod
    def combine(cls, parts: Iterable[Self]) -> Self:
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
    """Return the mean cross-entropy in nats of logits (B, T, V) against target ids (B, T), in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # bfloat16 would keep three digits of it
    return F.cross_entropy(logits.flatten(0, -2), as_ids(targets).to(logits.device).flatten())


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    ids: TokenSequence,
    block_size: int,
    *,
    tokenizer: Tokenizer | None = None,
    batch_size: int = 32,
    max_windows: int | None = None,
) -> EvalResult:
    """Evaluate a model on windows of `block_size` tokens that follow one another without overlap.

    ids: (N,), read as they are needed. Every token but the first is predicted exactly once; the last window may be
    shorter. With `max_windows`, only that many windows, spread evenly over the text, are used. With `tokenizer`, the
    characters and bytes of the predicted tokens are counted.

    Raises:
        UserError: there are fewer than two tokens, or a size is not positive.
    """
    block_size, batch_size = to_int("block_size", block_size, 1), to_int("batch_size", batch_size, 1)
    max_windows = None if max_windows is None else to_int("max_windows", max_windows, 1)
    if len(ids) < 2:
        raise UserError(f"A text of {len(ids)} tokens has nothing to predict; use at least 2 tokens.")
    meter = TextLengthCounter(tokenizer) if tokenizer else None
    device = next(model.parameters()).device
    total, n_tokens, sizes = 0.0, 0, []
    with evaluation_mode(model):
        for batch in _sequential_batches(ids, block_size, batch_size, max_windows):
            batch = batch.to(device)
            predicted = batch[:, 1:]
            total += cross_entropy(model(batch[:, :-1]), predicted).item() * predicted.numel()
            n_tokens += predicted.numel()
            sizes += [meter.measure(predicted.cpu())] if meter else []
    counted = TextLength(*map(sum, zip(*sizes, strict=True))) if meter else (None, None)
    return EvalResult(total / n_tokens, n_tokens, *counted)


def _sequential_batches(
    ids: TokenSequence, block_size: int, batch_size: int, max_windows: int | None
) -> Iterator[Tensor]:
    """Yield windows with their targets, (B, T + 1), read when they are needed; a short last one comes by itself."""
    starts: Sequence[int] = range(0, len(ids) - 1, block_size)
    if max_windows is not None and max_windows < len(starts):
        full = len(starts) - 1  # leave the last one out, which may be short
        starts = [starts[i * full // max_windows] for i in range(max_windows)]
    for i in range(0, len(starts), batch_size):
        windows = [as_ids(ids[start : start + block_size + 1]) for start in starts[i : i + batch_size]]
        short = windows.pop() if len(windows[-1]) <= block_size else None
        if windows:
            yield torch.stack(windows)
        if short is not None:
            yield short.unsqueeze(0)
