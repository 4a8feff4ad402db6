"""Token ids for training: the split into training and validation, and random batches.

Shapes: N tokens of the corpus, B batch, T time.
"""

from typing import NamedTuple, Protocol, SupportsInt

import torch
from torch import Tensor

from minigpt.config import require
from minigpt.tokenizers import Tokenizer


class Ids(Protocol):
    """Token ids (N,) that are read in slices: a vector of integers of any size, or shards on the disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: slice) -> Tensor: ...

    def max(self) -> SupportsInt: ...


class Split(NamedTuple):
    """The ids to train on and the ids held out for validation."""

    train: Ids
    validation: Ids


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


def require_window(name: str, ids: Ids, block_size: int) -> None:
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


def random_batch(ids: Ids, batch_size: int, block_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return windows at random places and the same windows one token later: two tensors of shape (B, T).

    Raises:
        UserError: the text has fewer than `block_size` + 1 tokens.
    """
    require_window("text", ids, block_size)
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator).tolist()
    inputs = torch.stack([ids[start : start + block_size] for start in starts])  # (B, T)
    targets = torch.stack([ids[start + 1 : start + 1 + block_size] for start in starts])  # (B, T)
    return inputs.long(), targets.long()  # ids may be kept as bytes
