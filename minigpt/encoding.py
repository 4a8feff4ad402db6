"""Texts to arrays of ids, a batch at a time, in one process or several: always in the same order."""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import numpy as np

from minigpt.bpe import END_OF_TEXT
from minigpt.documents import Batch, Documents, Piece, Place
from minigpt.errors import UserError, named, not_utf8
from minigpt.tokenizers import KINDS, CharTokenizer, Tokenizer
from minigpt.words import PATTERN

AHEAD = 3  # batches for each process that are under way or wait to be written


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
        self.separator = np.array(separator_ids(tokenizer), self.type)

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
        arrays, characters = [], 0
        for piece in pieces:
            text = decode(piece)
            with named(f"{piece.file}, from byte {piece.offset}"):
                arrays += [self.separator] * piece.begins + [encode_to_array(text, self.tokenizer, self.type)]
            characters += len(text)
        documents, size = sum(piece.begins for piece in pieces), sum(len(piece.text) for piece in pieces)
        return Encoded(np.concatenate(arrays), documents, characters, size)


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
    seen, begun = np.zeros(0x110000, dtype=bool), Counter()
    for batch in documents.batches(Place(), divisible=True):
        for piece in batch.pieces:
            begun[piece.part] += piece.begins
            seen[code_points(decode(piece))] = True
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
    return isinstance(tokenizer, CharTokenizer) or tokenizer.pattern == PATTERN


def encode_to_array(text: str, tokenizer: Tokenizer, type: np.dtype) -> np.ndarray:
    """Encode a text: (N,); characters are looked up all at once, in a table of all code points.

    Raises:
        UserError: the tokenizer does not know a character.
    """
    if not isinstance(tokenizer, CharTokenizer):
        return np.array(tokenizer.encode(text), dtype=type)
    table, known = code_point_tables(tokenizer.characters, tokenizer.unknown, type)
    points = code_points(text)
    if tokenizer.unknown is None and not known[points].all():
        tokenizer.encode(text)  # names the first character that it does not know
    return table[points]


@lru_cache(maxsize=2)
def code_point_tables(characters: str, unknown: str | None, type: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the id of every code point there is, and whether it is in the vocabulary."""
    table = np.full(0x110000, characters.index(unknown) if unknown else 0, dtype=type)
    known = np.zeros(0x110000, dtype=bool)
    table[code_points(characters)] = range(len(characters))
    known[code_points(characters)] = True
    return table, known


def code_points(text: str) -> np.ndarray:
    """Return the number that Unicode gives to each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def encode_in_order(
    batches: Iterable[Batch], tokenizer: Tokenizer, workers: int
) -> Iterator[tuple[Place, dict[str, Encoded]]]:
    """Yield the ids of each batch and the place after it; with more than one worker, each is a process of its own.

    Raises:
        UserError: a batch cannot be encoded, or a worker was ended.
    """
    if workers == 1:
        encode = Encoder(tokenizer)
        for batch in batches:
            yield batch.after, encode(batch.pieces)
        return
    begin = (begin_worker, (tokenizer.to_dict(),))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), *begin)
    waiting: deque[tuple[Place, Future]] = deque()
    try:
        for batch in batches:
            waiting.append((batch.after, pool.submit(encode_here, batch.pieces)))
            if len(waiting) >= AHEAD * workers:
                place, future = waiting.popleft()
                yield place, future.result()
        for place, future in waiting:
            yield place, future.result()
    except BrokenProcessPool:
        raise UserError("A worker was ended, perhaps for want of memory; try again with fewer workers.") from None
    finally:
        pool.shutdown(cancel_futures=True)


def begin_worker(tokenizer: dict[str, Any]) -> None:
    """Prepare a worker: it has its own encoder, leaves Ctrl-C to its parent, and does not outlive it."""
    global encoder
    encoder = Encoder(KINDS[tokenizer["kind"]].from_dict(tokenizer))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def encode_here(pieces: list[Piece]) -> dict[str, Encoded]:
    """Encode pieces in a worker."""
    return encoder(pieces)


def end_with_parent() -> None:
    """Wait for the end of the process that began this one, and end this one, too."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
