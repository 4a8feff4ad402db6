"""How much text some token ids stand for, in characters and in bytes, whatever the tokens are."""

from typing import NamedTuple

import torch
from torch import Tensor

from minigpt.config import require
from minigpt.tokenizers import Tokenizer


class TextSize(NamedTuple):
    """A number of characters and of bytes in UTF-8."""

    n_characters: int
    n_bytes: int


class TextMeter:
    """Count the characters and bytes that tokens stand for, without putting the text together.

    A character counts where it begins, so that texts cut anywhere, even within a character, add up to the whole.
    Special tokens, such as the border between two documents, stand for no text. What is no `Tokenizer` of this
    package is asked to decode.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.sizes = token_sizes(tokenizer) if isinstance(tokenizer, Tokenizer) else None  # (V, 2)

    def measure(self, ids: Tensor) -> TextSize:
        """Return how much text ids of any shape stand for.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        if self.sizes is None:
            text = self.tokenizer.decode(ids.flatten().tolist())
            return TextSize(len(text), len(text.encode("utf-8", "surrogatepass")))
        largest, known = int(ids.max()), len(self.sizes)
        require(
            largest < known,
            f"Token id {largest} is outside the vocabulary, 0 to {known - 1}; use the model's own tokenizer.",
        )
        return TextSize(*self.sizes[ids.flatten().long()].sum(dim=0).tolist())


def token_sizes(tokenizer: Tokenizer) -> Tensor:
    """Return the number of characters that begin in each token, and of its bytes: (V, 2)."""
    tokens = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
    for id in tokenizer.special_ids.values():
        tokens[id] = b""
    return torch.tensor([(sum(map(begins_character, token)), len(token)) for token in tokens])


def begins_character(byte: int) -> bool:
    """Return whether a byte of UTF-8 is the first of its character: all others have the bits 10 at the front."""
    return byte >> 6 != 0b10
