"""Documents, read in order and piece by piece: to which part each belongs, and where reading stands after it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from minigpt.config import require
from minigpt.shards.parquet_source import ParquetSource
from minigpt.shards.sources import Source, has_rows
from minigpt.shards.text_source import TextSource

TRAIN, VALIDATION = "train", "validation"
BATCH = 1_000_000  # bytes of text that are encoded together


class Stretch(NamedTuple):
    """From where to where a file is read, and the part its documents belong to; None leaves that to their number."""

    source: Source
    part: str | None
    start: int
    stop: int


class Place(NamedTuple):
    """Where reading stands: stretch and offset, how many documents have begun, and whether one of them goes on."""

    stretch: int = 0
    offset: int | None = None
    documents: int = 0
    inside: bool = False


class Piece(NamedTuple):
    """A fragment with the part it belongs to and the file it comes from."""

    text: bytes
    part: str
    begins: bool
    file: str
    offset: int


class Batch(NamedTuple):
    """Pieces to be encoded together, and where reading stands after them."""

    pieces: list[Piece]
    after: Place


@dataclass(frozen=True)
class Documents:
    """The documents of some stretches: between two separators or, without one, a stretch each.

    White space around a separator is left out, and so are empty documents. Where a stretch names no part,
    `validation_share` of the documents is held out, evenly spread: with 0.05 every 20th.
    """

    stretches: Sequence[Stretch]
    separator: str | None
    validation_share: float

    def batches(self, place: Place, divisible: bool) -> Iterator[Batch]:
        """Yield the documents from a place on; with `divisible`, long ones are cut between two words.

        Raises:
            UserError: a file cannot be read, has become shorter, or holds a document that is too long.
        """
        pieces: list[Piece] = []
        size = 0
        for piece, after in self.pieces(place, divisible):
            pieces.append(piece)
            size += len(piece.text)
            if size >= BATCH:
                yield Batch(pieces, after)
                pieces, size = [], 0
        if pieces:
            yield Batch(pieces, after)

    def pieces(self, place: Place, divisible: bool) -> Iterator[tuple[Piece, Place]]:
        """Yield every piece from a place on, and the place after it."""
        documents, inside, is_held_out = place.documents, place.inside, every(self.validation_share)
        for number, stretch in enumerate(self.stretches):
            if number < place.stretch:
                continue
            offset = place.offset if number == place.stretch else None
            start = stretch.start if offset is None else offset
            continues = offset is not None and inside
            for fragment in stretch.source.read(start, stretch.stop, self.separator, continues, divisible):
                documents += fragment.begins
                part = stretch.part or (VALIDATION if is_held_out(documents - 1) else TRAIN)
                piece = Piece(fragment.text, part, fragment.begins, stretch.source.name, fragment.offset)
                yield piece, Place(number, fragment.after, documents, fragment.goes_on)

    @property
    def n_bytes(self) -> int | None:
        """How much there is to read, as far as that is known before."""
        known = not any(has_rows(stretch.source) for stretch in self.stretches)
        return sum(stretch.stop - stretch.start for stretch in self.stretches) if known else None

    def describe(self) -> dict[str, Any]:
        """Return as JSON values what the documents are read from, and how."""
        files = [
            {"name": source.name, "part": part, "start": start, "stop": stop}
            for source, part, start, stop in self.stretches
        ]
        return {"files": files, "separator": self.separator, "validation_share": self.validation_share}

    def fingerprints(self) -> list[Any]:
        """Return values that change when a file does."""
        return [stretch.source.fingerprint() for stretch in self.stretches]


def split_documents(
    files: Sequence[Source | Path | str],
    held_out: Sequence[Source | Path | str] = (),
    *,
    separator: str | None = None,
    validation_share: float = 0.05,
) -> Documents:
    """Return the documents of some files, with the files in `held_out`, if any, as the validation part.

    Otherwise a share of the documents is held out or, where whole files are the documents and there are too few of
    them, the end of each.

    Raises:
        UserError: there is no file or one cannot be read, the share is not between 0 and 1, or the separator is empty.
    """
    require(len(files) > 0, "There is nothing to prepare; name at least one file.")
    require(0 < validation_share < 1, f"validation_share = {validation_share} must lie between 0 and 1.")
    require(separator != "", "The separator is empty; leave it out, or name a text that stands between documents.")
    files, held_out = [list(map(open_source, each)) for each in (files, held_out)]
    if held_out:
        stretches = [Stretch(file, TRAIN, 0, file.size) for file in files]
        stretches += [Stretch(file, VALIDATION, 0, file.size) for file in held_out]
        return Documents(stretches, separator, validation_share)
    many = separator is not None or any(map(has_rows, files)) or len(files) * validation_share >= 1
    if many:
        return Documents([Stretch(file, None, 0, file.size) for file in files], separator, validation_share)
    stretches = []
    for file in files:
        border = file.line_after(round(file.size * (1 - validation_share)))  # type: ignore[attr-defined]
        stretches += [Stretch(file, TRAIN, 0, border), Stretch(file, VALIDATION, border, file.size)]
    return Documents(stretches, separator, validation_share)


def open_source(file: Source | Path | str) -> Source:
    """Return a file, named by its path, as a source of documents; a source is returned as it is."""
    if not isinstance(file, (Path, str)):
        return file
    return ParquetSource(file) if Path(file).suffix == ".parquet" else TextSource(file)


def every(share: float) -> Callable[[int], bool]:
    """Return the rule that tells of a document's number, from 0, whether it is among the share that is held out."""
    above, below = Fraction(str(share)).as_integer_ratio()
    return lambda number: (number + 1) * above // below > number * above // below
