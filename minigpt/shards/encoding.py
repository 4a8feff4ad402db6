"""Texts to arrays of ids."""

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigpt.bpe.tokenizer import END_OF_TEXT
from minigpt.bpe.words import PATTERN
from minigpt.errors import named, not_utf8
from minigpt.shards.documents import Documents, Piece, Place
from minigpt.tokenizers import CharTokenizer, Tokenizer


class Encoded(NamedTuple):
    """The ids of some pieces, and how much text they stand for; every document begins with the separator's ids."""

    ids: np.ndarray
    documents: int
    characters: int
    bytes: int


class Encoder:
    """What turns pieces of text into ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.type = array_type(tokenizer.vocab_size)
        self.separator = separator_ids(tokenizer)

    def __call__(self, pieces: list[Piece]) -> dict[str, Encoded]:
        """Return the ids of each part's pieces, in order.

        Raises:
            UserError: a piece is not UTF-8, or the tokenizer does not know a character.
        """
        by_part: dict[str, list[Piece]] = {}
        for piece in pieces:
            by_part.setdefault(piece.part, []).append(piece)
        return {part: self.encode(each) for part, each in by_part.items()}

    def encode(self, pieces: list[Piece]) -> Encoded:
        """Return the ids of pieces that belong to one part."""
        texts = [decode(piece) for piece in pieces]
        with named(f"{pieces[0].file}, from byte {pieces[0].offset}"):
            ids = self.to_array([piece.begins for piece in pieces], texts)
        documents, size = sum(piece.begins for piece in pieces), sum(len(piece.text) for piece in pieces)
        return Encoded(ids, documents, sum(map(len, texts)), size)

    def to_array(self, begins: list[bool], texts: list[str]) -> np.ndarray:
        """Return the ids of all texts one after the other, with the separator before those that begin a document."""
        if isinstance(self.tokenizer, CharTokenizer):
            between = self.tokenizer.decode(self.separator)
            joined = "".join([between * first + text for first, text in zip(begins, texts, strict=True)])
            return look_up(joined, self.tokenizer, self.type)
        ids: list[int] = []
        for first, text in zip(begins, texts, strict=True):
            ids += self.separator * first
            ids += self.tokenizer.encode(text)
        return np.array(ids, self.type)


def decode(piece: Piece) -> str:
    """Return a piece's text.

    Raises:
        UserError: it is not UTF-8; the first wrong byte of the file is named.
    """
    try:
        return piece.text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(piece.file, piece.offset + error.start) from None


def characters_of(documents: Documents) -> str:
    """Return all characters of some documents in code point order, and a line end if it has to separate any.

    Raises:
        UserError: the documents cannot be read.
    """
    seen: np.ndarray = np.zeros(0x110000, dtype=bool)
    begun: Counter[str] = Counter()
    for batch in documents.batches(Place(), divisible=True):
        begun.update(piece.part for piece in batch.pieces if piece.begins)
        seen[code_points("".join(map(decode, batch.pieces)))] = True
    seen[ord("\n")] |= any(number > 1 for number in begun.values())
    return "".join(map(chr, np.flatnonzero(seen)))


def array_type(vocab_size: int) -> np.dtype:
    """Return the type in which ids are kept: two bytes where those suffice, otherwise four; the lowest byte first."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def separator_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the ids that stand between two documents: <|endoftext|>, otherwise a line end, otherwise nothing."""
    if isinstance(tokenizer, CharTokenizer):
        return tokenizer.encode("\n") if "\n" in tokenizer.characters else []
    return [tokenizer.special_ids[END_OF_TEXT]] if END_OF_TEXT in tokenizer.special_ids else tokenizer.encode("\n")


def is_divisible(tokenizer: Tokenizer) -> bool:
    """Return whether a text that is cut at `last_cut` has the same ids as in one piece."""
    return isinstance(tokenizer, CharTokenizer) or getattr(tokenizer, "pattern", None) == PATTERN


def look_up(text: str, tokenizer: CharTokenizer, type: np.dtype) -> np.ndarray:
    """Encode a text: (N,); all characters at once, in a table of all code points.

    Raises:
        UserError: the tokenizer does not know a character.
    """
    table, known = code_point_tables(tokenizer.characters, tokenizer.unknown, type)
    points = code_points(text)
    if tokenizer.unknown is None and not known[points].all():
        tokenizer.encode(text)  # names the first character that it does not know
    return table[points]


@lru_cache(maxsize=2)
def code_point_tables(characters: str, unknown: str | None, type: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the id of every code point there is, and whether it is in the vocabulary."""
    table: np.ndarray = np.full(0x110000, characters.index(unknown) if unknown else 0, dtype=type)
    known: np.ndarray = np.zeros(0x110000, dtype=bool)
    table[code_points(characters)] = range(len(characters))
    known[code_points(characters)] = True
    return table, known


def code_points(text: str) -> np.ndarray:
    """Return the number that Unicode gives to each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
