"""Characters as tokens: a vocabulary of the characters of a text, and long texts encoded by table."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Self

import numpy as np

from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError


class CharTokenizer(Tokenizer):
    """One token a character: the id of a character is its place in a sorted vocabulary.

    With `unknown`, one of the vocabulary's characters stands for every character that is not in it; without,
    such a character is an error.

    Raises:
        UserError: the vocabulary is empty, repeats a character, or does not hold `unknown`.
    """

    kind = "char"

    def __init__(self, characters: str, unknown: str | None = None) -> None:
        if len(characters) <= 0:
            raise UserError("A vocabulary needs at least one character; build it from a text with some.")
        repeated = [character for character, count in Counter(characters).items() if count > 1]
        if repeated:
            raise UserError(
                f"The vocabulary repeats {''.join(repeated)!r}; list every character once, or use from_text."
            )
        if unknown is not None and unknown not in list(characters):
            raise UserError(f"unknown = {unknown!r} must be one character of the vocabulary.")
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
            if unknown is None:
                raise UserError("A vocabulary of limited size needs unknown='…' to stand for the rest.")
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
                f"the {self.vocab_size} of the vocabulary; leave it out of the text, or train with a tokenizer that "
                "has it or a character for all others."
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        ids = list(ids)
        wrong = next((id for id in ids if not 0 <= id < self.vocab_size), None)
        if wrong is not None:
            raise UserError(
                f"Token id {wrong} is outside the vocabulary, 0 to {self.vocab_size - 1}; use the model's own "
                "tokenizer."
            )
        return "".join(self.characters[id] for id in ids)

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes that a token stands for in UTF-8.

        Raises:
            UserError: the id is outside the vocabulary.
        """
        return self.decode([id]).encode("utf-8", "surrogatepass")

    def describe_tokens(self, ids: Iterable[int]) -> Iterator[str]:
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
        if not isinstance(characters, str):
            raise UserError("It lacks the text field 'characters'; save the tokenizer again.")
        return cls(characters, values.get("unknown"))

    def __repr__(self) -> str:
        return f"CharTokenizer({self.vocab_size} characters)"


def encode_characters(text: str, tokenizer: CharTokenizer, type: np.dtype) -> np.ndarray:
    """Encode a text: (N,); all characters at once, in a table of all code points.

    Raises:
        UserError: the tokenizer does not know a character.
    """
    table, known = _code_point_tables(tokenizer.characters, tokenizer.unknown, type)
    points = code_points(text)
    if tokenizer.unknown is None and not known[points].all():
        tokenizer.encode(text)  # names the first character that it does not know
    return table[points]


@lru_cache(maxsize=2)
def _code_point_tables(characters: str, unknown: str | None, type: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the id of every code point there is, and whether it is in the vocabulary."""
    table: np.ndarray = np.full(0x110000, characters.index(unknown) if unknown else 0, dtype=type)
    known: np.ndarray = np.zeros(0x110000, dtype=bool)
    table[code_points(characters)] = range(len(characters))
    known[code_points(characters)] = True
    return table, known


def code_points(text: str) -> np.ndarray:
    """Return the number that Unicode gives to each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
