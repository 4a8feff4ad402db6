"""Token ids for training: the split into training and validation, and random batches.

Shapes: N tokens of the corpus, B batch, T time.
"""

from typing import Any, NamedTuple, Protocol, SupportsInt

import torch
from torch import Tensor

from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.ids import as_ids
from minigpt.utils.numbers import to_int


class TokenSequence(Protocol):
    """Token ids (N,) that are read in slices: a vector of integers of any size, or shards on the disk.

    A list is taken, too, though it has no `max`.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, places: slice, /) -> Any: ...

    def max(self) -> SupportsInt: ...


class Split(NamedTuple):
    """The ids to train on and the ids held out for validation."""

    train: TokenSequence
    validation: TokenSequence


def split_text(text: str, tokenizer: Tokenizer, val_fraction: float = 0.1) -> Split:
    """Encode a text and hold out its last part for validation.

    Raises:
        UserError: the share is not between 0 and 1, or the tokenizer does not know a character.
    """
    if not 0 < val_fraction < 1:
        raise UserError(f"val_fraction = {val_fraction} must lie between 0 and 1.")
    ids = torch.tensor(tokenizer.encode(text), dtype=torch.long)
    border = len(ids) - round(len(ids) * val_fraction)
    return Split(ids[:border], ids[border:])


def check_windows(split: Split, block_size: int) -> None:
    """Raise `UserError` unless both parts hold at least one window of `block_size` tokens and its targets."""
    check_window("training part", split.train, block_size)
    check_window("validation part", split.validation, block_size)


def check_window(name: str, ids: TokenSequence, block_size: int) -> None:
    """Raise `UserError` unless there is at least one window of `block_size` tokens and its targets."""
    if len(ids) <= block_size:
        raise UserError(
            f"The {name} has {len(ids):,} tokens, too few for one window of {block_size} and its targets; "
            f"use a longer text or a smaller block_size."
        )


def check_ids(split: Split, vocab_size: int) -> None:
    """Raise `UserError` unless every id is one that a model of `vocab_size` tokens knows."""
    for name, ids in (("training", split.train), ("validation", split.validation)):
        largest = max(ids, default=0) if isinstance(ids, list) else int(ids.max())
        if largest >= vocab_size:
            raise UserError(
                f"The {name} part holds the token id {largest}, but the model knows only 0 to {vocab_size - 1}; "
                "build the model with vocab_size=tokenizer.vocab_size."
            )


def get_batch(
    ids: TokenSequence, batch_size: int, block_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return windows at random places and the same windows one token later: two tensors of shape (B, T).

    Raises:
        UserError: the text has fewer than `block_size` + 1 tokens, or a size is not positive.
    """
    batch_size, block_size = to_int("batch_size", batch_size, 1), to_int("block_size", block_size, 1)
    check_window("text", ids, block_size)
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator).tolist()
    inputs = torch.stack([as_ids(ids[start : start + block_size]) for start in starts])  # (B, T)
    targets = torch.stack([as_ids(ids[start + 1 : start + 1 + block_size]) for start in starts])  # (B, T)
    return inputs, targets
