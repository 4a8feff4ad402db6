"""A text file, or a text in memory, read piece by piece, however long it is."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from minigpt.bpe.words import last_cut
from minigpt.config import require
from minigpt.errors import reading
from minigpt.planning.units import size_text
from minigpt.shards.sources import Fragment

BLOCK = 1_000_000  # bytes read at once, and about as many as a long document's pieces have
LONGEST = 16_000_000  # bytes of a document that cannot be cut


class TextSource:
    """A UTF-8 file, or a text that has a name.

    Raises:
        UserError: the file is missing, or cannot be read.
    """

    def __init__(self, path: Path | str, text: str | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.content = None if text is None else text.encode("utf-8")
        with self.open() as file:
            self.size = file.seek(0, io.SEEK_END)

    def open(self) -> BinaryIO:
        """Open the file for reading."""
        if self.content is not None:
            return io.BytesIO(self.content)
        with reading(self.path):
            return self.path.open("rb")

    def fingerprint(self) -> Any:
        """Return the time when the file was changed last; of a text in memory, its checksum."""
        if self.content is not None:
            return hashlib.sha256(self.content).hexdigest()
        return self.path.stat().st_mtime_ns

    def line_after(self, offset: int) -> int:
        """Return where the first line begins that does not begin before this place, in bytes."""
        with self.open() as file:
            file.seek(max(0, offset - 1))
            line = file.readline(BLOCK) if offset > 0 else b""
            return self.size if line[-1:] not in (b"", b"\n") else file.tell()

    def next_block(self, file: BinaryIO, at_most: int) -> bytes:
        """Return what stands next in the open file."""
        with reading(self.path):
            return file.read(min(BLOCK, at_most))

    def read(self, start: int, stop: int, separator: str | None, inside: bool, divisible: bool) -> Iterator[Fragment]:
        """Yield the documents between two bytes, the long ones in several pieces where they are divisible.

        Raises:
            UserError: the file has become shorter, or a document that cannot be cut is too long.
        """
        mark = (separator or "").encode("utf-8")
        buffer, base = b"", start
        with self.open() as file:
            file.seek(start)
            while block := self.next_block(file, stop - base - len(buffer)):
                *whole, buffer = (buffer + block).split(mark) if mark else [buffer + block]
                for document in whole:
                    after = base + len(document) + len(mark)
                    yield from pieces(document, base, after, begins=not inside, trimmed=True)
                    base, inside = after, False
                if len(buffer) < BLOCK:
                    continue
                place = last_cut(buffer, len(buffer) - len(mark)) if divisible else 0
                for piece in pieces(buffer[:place], base, base + place, not inside, bool(mark), goes_on=True):
                    yield piece
                    inside = True
                base, buffer = base + place, buffer[place:]
                require(
                    len(buffer) < LONGEST,
                    f"{self.name} has a document of more than {size_text(LONGEST)} that cannot be cut between two "
                    f"words (it begins before byte {base}); name a separator, or use another tokenizer.",
                )
        require(base + len(buffer) == stop, f"{self.name} has become shorter; prepare it afresh into another folder.")
        yield from pieces(buffer, base, stop, begins=not inside, trimmed=bool(mark))


def pieces(
    text: bytes, offset: int, after: int, begins: bool, trimmed: bool, goes_on: bool = False
) -> Iterator[Fragment]:
    """Yield a text as a fragment, unless it is empty; trimmed of white space where its document begins and ends."""
    kept = text.lstrip() if trimmed and begins else text
    offset += len(text) - len(kept)
    kept = kept.rstrip() if trimmed and not goes_on else kept
    if kept:
        yield Fragment(kept, begins, offset, after, goes_on)
