"""Token ids for training: the split into training and validation, and random batches.

Shapes: N tokens of the corpus, B batch, T time.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from minigpt.config import require
from minigpt.tokenizers import Tokenizer


class Split(NamedTuple):
    """The ids to train on and the ids held out for validation, each a vector of integers of any size."""

    train: Tensor
    validation: Tensor


def split_text(text: str, tokenizer: Tokenizer, validation_share: float = 0.1) -> Split:
    """Encode a text and hold out its last part for validation.

    Raises:
        UserError: the share is not between 0 and 1, or the tokenizer does not know a character.
    """
    require(0 < validation_share < 1, f"validation_share = {validation_share} must lie between 0 and 1.")
    ids = torch.tensor(tokenizer.encode(text), dtype=torch.long)
    border = len(ids) - round(len(ids) * validation_share)
    return Split(ids[:border], ids[border:])


def require_windows(split: Split, block_size: int) -> None:
    """Raise `UserError` unless both parts hold at least one window of `block_size` tokens and its targets."""
    require_window("training part", split.train, block_size)
    require_window("validation part", split.validation, block_size)


def require_window(name: str, ids: Tensor, block_size: int) -> None:
    """Raise `UserError` unless there is at least one window of `block_size` tokens and its targets."""
    require(
        len(ids) > block_size,
        f"The {name} has {len(ids):,} tokens, too few for one window of {block_size} and its targets; "
        f"use a longer text or a smaller block_size.",
    )


def require_ids(split: Split, vocab_size: int) -> None:
    """Raise `UserError` unless every id is one that a model of `vocab_size` tokens knows."""
    for name, ids in (("training", split.train), ("validation", split.validation)):
        largest = int(ids.max())
        require(
            largest < vocab_size,
            f"The {name} part holds the token id {largest}, but the model knows only 0 to {vocab_size - 1}; "
            "build the model with vocab_size=tokenizer.vocab_size.",
        )


def random_batch(ids: Tensor, batch_size: int, block_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return windows at random places and the same windows one token later: two tensors of shape (B, T).

    Raises:
        UserError: the text has fewer than `block_size` + 1 tokens.
    """
    require_window("text", ids, block_size)
    starts = torch.randint(len(ids) - block_size, (batch_size, 1), generator=generator)  # (B, 1)
    windows = starts + torch.arange(block_size)  # (B, T)
    return ids[windows].long(), ids[windows + 1].long()  # ids may be kept as bytes
