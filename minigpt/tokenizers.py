"""Text to token ids and back."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from minigpt.base_tokenizer import KINDS, Tokenizer
from minigpt.bpe.tokenizer import BPETokenizer
from minigpt.config import read_json, require
from minigpt.errors import UserError, named

__all__ = ["KINDS", "BPETokenizer", "CharTokenizer", "Tokenizer", "load_tokenizer"]


class CharTokenizer(Tokenizer):
    """One token a character: the id of a character is its place in a sorted vocabulary.

    With `unknown`, one of the vocabulary's characters stands for every character that is not in it; without,
    such a character is an error.

    Raises:
        UserError: the vocabulary is empty, repeats a character, or does not hold `unknown`.
    """

    kind = "char"

    def __init__(self, characters: str, unknown: str | None = None) -> None:
        require(len(characters) > 0, "A vocabulary needs at least one character; build it from a text with some.")
        repeated = [character for character, count in Counter(characters).items() if count > 1]
        require(
            not repeated, f"The vocabulary repeats {''.join(repeated)!r}; list every character once, or use from_text."
        )
        require(
            unknown is None or unknown in list(characters),
            f"unknown = {unknown!r} must be one character of the vocabulary.",
        )
        self.characters = characters
        self.unknown = unknown
        self._id_of = {character: id for id, character in enumerate(characters)}

    @classmethod
    def from_text(cls, text: str, unknown: str | None = None, vocab_size: int | None = None) -> Self:
        """Build the vocabulary of a text: its distinct characters in code point order, and `unknown` if given.

        With `vocab_size`, only the most frequent are kept, so many that there is room for `unknown`.

        Raises:
            UserError: the text is empty, or there is a `vocab_size` and no `unknown` to stand for what it leaves out.
        """
        kept = set(text)
        if vocab_size is not None:
            require(unknown is not None, "A vocabulary of limited size needs unknown='…' to stand for the rest.")
            counts = Counter(text)
            by_frequency = sorted(kept - {unknown}, key=lambda character: (-counts[character], character))
            kept = set(by_frequency[: vocab_size - 1])
        return cls("".join(sorted(kept | set(unknown or ""))), unknown)

    @property
    def vocab_size(self) -> int:
        """The number of different token ids."""
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, one a character.

        Raises:
            UserError: a character is not in the vocabulary and there is no `unknown` to stand for it.
        """
        if self.unknown is not None:
            fallback = self._id_of[self.unknown]
            return [self._id_of.get(character, fallback) for character in text]
        try:
            return [self._id_of[character] for character in text]
        except KeyError as error:
            character = error.args[0]
            raise UserError(
                f"The character {character!r} (U+{ord(character):04X}) at place {text.index(character)} is not among "
                f"the {self.vocab_size} of the vocabulary; leave it out, or build the tokenizer with unknown='…'."
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        ids = list(ids)
        wrong = next((id for id in ids if not 0 <= id < self.vocab_size), None)
        require(
            wrong is None,
            f"Token id {wrong} is outside the vocabulary, 0 to {self.vocab_size - 1}; use the model's own tokenizer.",
        )
        return "".join(self.characters[id] for id in ids)

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes that a token stands for in UTF-8.

        Raises:
            UserError: the id is outside the vocabulary.
        """
        return self.decode([id]).encode("utf-8", "surrogatepass")

    def lines_of(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield a line for each of these tokens that can be read: id and text."""
        return (f"{id:>6}  {self.characters[id]!r}" for id in ids)

    def to_dict(self) -> dict[str, str | None]:
        """Return what `tokenizer.json` holds."""
        return {"kind": self.kind, "characters": self.characters, "unknown": self.unknown}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a tokenizer from what `tokenizer.json` holds.

        Raises:
            UserError: a field is missing, or holds what cannot be a vocabulary.
        """
        characters: Any = values.get("characters")
        require(isinstance(characters, str), "It lacks the text field 'characters'; save the tokenizer again.")
        return cls(characters, values.get("unknown"))

    def __repr__(self) -> str:
        return f"CharTokenizer({self.vocab_size} characters)"


def load_tokenizer(path: Path | str) -> Tokenizer:
    """Read a tokenizer back from its JSON file.

    Raises:
        UserError: the file is missing, is not JSON, or does not hold a tokenizer that this package knows.
    """
    values = read_json(Path(path))
    kind: Any = values.get("kind")
    require(
        isinstance(kind, str) and kind in KINDS,
        f"{path} holds a tokenizer of kind {kind!r}, and known are {', '.join(map(repr, sorted(KINDS)))}; "
        "if it is one of your own, define its class first.",
    )
    with named(path):
        return KINDS[kind].from_dict(values)
