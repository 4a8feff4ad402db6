"""The merges of `minigpt.bpe.merging`, found by the Rust code in the package `tokenizers`."""

import json
from collections.abc import Iterator, Mapping

from minigpt.bpe.merging import BYTES, Pair
from minigpt.errors import UserError

SEPARATOR = chr(BYTES)  # a byte is written as the character of the same number, so this one is free
LENGTH = 100_000


def learn_merges_fast(words: Mapping[bytes, int], n_merges: int) -> list[Pair]:
    """Return the same pairs as `minigpt.bpe.merging.learn_merges`, many times faster.

    Raises:
        UserError: the package `tokenizers` is not installed, or too old.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ModuleNotFoundError:
        raise UserError("Fast training needs the package tokenizers; pip install tokenizers, or do without.") from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(SEPARATOR, behavior="removed")
    trainer = trainers.BpeTrainer(
        vocab_size=BYTES + n_merges,
        min_frequency=1,
        initial_alphabet=[chr(value) for value in range(BYTES)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(words), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if model["merges"] and isinstance(model["merges"][0], str):
        raise UserError("Fast training needs tokenizers 0.20 or newer; pip install --upgrade tokenizers.")
    id_of = model["vocab"]
    return [(id_of[left], id_of[right]) for left, right in model["merges"]]


def texts(words: Mapping[bytes, int]) -> Iterator[str]:
    """Write every word as often as it occurs, in texts of bounded length."""
    for word, count in words.items():
        written = word.decode("latin-1") + SEPARATOR
        at_once = max(1, LENGTH // len(written))
        for done in range(0, count, at_once):
            yield written * min(at_once, count - done)
