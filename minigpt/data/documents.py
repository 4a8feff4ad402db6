"""Files of documents, as text or Parquet: read in chunks, split into training and validation, resumed anywhere."""

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from minigpt.data.text_files import TEXT_FIELD, is_json_lines, mark_length, open_bytes, row_text, unpacking
from minigpt.tokenizer.pretokenize import last_split_point
from minigpt.utils.errors import UserError, file_errors
from minigpt.utils.units import format_bytes


class EncodedFragment(NamedTuple):
    """A piece of a document, its place in the file, and the place after it, in bytes or rows."""

    text: bytes
    begins: bool
    offset: int
    after: int
    goes_on: bool = False


class Source(Protocol):
    """A file of documents."""

    name: str
    size: int

    def fingerprint(self) -> Any:
        """Return a JSON value that changes when the file does."""

    def read(
        self, start: int, stop: int, separator: str | None, inside: bool, can_split: bool
    ) -> Iterator[EncodedFragment]:
        """Yield what stands between two places, beginning inside a document or not."""


def has_rows(source: Source) -> bool:
    """Return whether a file is a table, whose size is counted in rows."""
    return getattr(source, "has_rows", False)


_BLOCK_BYTES = 1_000_000  # bytes read at once, and about as many as a long document's pieces have


_LONGEST = 16_000_000  # bytes of a document that cannot be cut


class TextSource:
    """A UTF-8 file, packed with gzip or not, or a text that has a name; a byte order mark is left out.

    Raises:
        UserError: the file is missing, cannot be read, or is something else than text.
    """

    def __init__(self, path: Path | str, text: str | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.content = None if text is None else text.encode("utf-8")
        with self.open() as file, unpacking(self.path):
            self.mark = mark_length(file)
            self.size = self._measure(file)

    def _measure(self, file: BinaryIO) -> int:
        """Return the number of bytes of an open file; a packed one has to be read for it."""
        if not isinstance(file, gzip.GzipFile):
            return file.seek(0, io.SEEK_END)
        while file.read(_BLOCK_BYTES):
            pass
        return file.tell()

    def open(self) -> BinaryIO:
        """Open the file for reading."""
        if self.content is not None:
            return io.BytesIO(self.content)
        return open_bytes(self.path)

    def fingerprint(self) -> Any:
        """Return the time when the file was changed last; of a text in memory, its checksum."""
        if self.content is not None:
            return hashlib.sha256(self.content).hexdigest()
        return self.path.stat().st_mtime_ns

    def line_after(self, offset: int) -> int:
        """Return where the first line begins that does not begin before this place, in bytes."""
        with self.open() as file:
            file.seek(max(0, offset - 1))
            line = file.readline(_BLOCK_BYTES) if offset > 0 else b""
            return self.size if line[-1:] not in (b"", b"\n") else file.tell()

    def first_byte(self, start: int, stop: int) -> int:
        """Return where the text of a span begins: after the byte order mark, if that is in it."""
        return min(max(start, self.mark), stop)

    def next_block(self, file: BinaryIO, at_most: int) -> bytes:
        """Return what stands next in the open file."""
        with file_errors(self.path), unpacking(self.path):
            return file.read(min(_BLOCK_BYTES, at_most))

    def read(
        self, start: int, stop: int, separator: str | None, inside: bool, can_split: bool
    ) -> Iterator[EncodedFragment]:
        """Yield the documents between two bytes, the long ones in several pieces where they can be split.

        Raises:
            UserError: the file has become shorter, or a document that cannot be cut is too long.
        """
        start = self.first_byte(start, stop)
        mark = (separator or "").encode("utf-8")
        buffer, base = b"", start
        with self.open() as file:
            file.seek(start)
            while block := self.next_block(file, stop - base - len(buffer)):
                *whole, buffer = (buffer + block).split(mark) if mark else [buffer + block]
                for document in whole:
                    after = base + len(document) + len(mark)
                    yield from _pieces(document, base, after, begins=not inside, trimmed=True)
                    base, inside = after, False
                if len(buffer) < _BLOCK_BYTES:
                    continue
                place = last_split_point(buffer, len(buffer) - len(mark)) if can_split else 0
                for piece in _pieces(buffer[:place], base, base + place, not inside, bool(mark), goes_on=True):
                    yield piece
                    inside = True
                base, buffer = base + place, buffer[place:]
                if len(buffer) >= _LONGEST:
                    raise UserError(
                        f"{self.name} has a document of more than {format_bytes(_LONGEST)} that cannot be cut "
                        "between two "
                        f"words (it begins before byte {base}); name a separator, or use another tokenizer."
                    )
        if base + len(buffer) != stop:
            raise UserError(f"{self.name} has become shorter; prepare it afresh into another folder.")
        yield from _pieces(buffer, base, stop, begins=not inside, trimmed=bool(mark))


def _pieces(
    text: bytes, offset: int, after: int, begins: bool, trimmed: bool, goes_on: bool = False
) -> Iterator[EncodedFragment]:
    """Yield a text as a fragment, unless it is empty; trimmed of white space where its document begins and ends."""
    kept = text.lstrip() if trimmed and begins else text
    offset += len(text) - len(kept)
    kept = kept.rstrip() if trimmed and not goes_on else kept
    if kept:
        yield EncodedFragment(kept, begins, offset, after, goes_on)


class JsonLinesSource(TextSource):
    """The rows of a file with a JSON object in each line, of which one field is the text.

    Raises:
        UserError: the file is missing, cannot be read, or is something else than text.
    """

    has_rows = True
    size_in_bytes = True

    def __init__(self, path: Path | str, field: str = TEXT_FIELD) -> None:
        super().__init__(path)
        self.field = field

    def read(
        self, start: int, stop: int, separator: str | None, inside: bool, can_split: bool
    ) -> Iterator[EncodedFragment]:
        """Yield every row's text, trimmed of white space, unless it is empty; rows are never cut.

        Raises:
            UserError: the file has become shorter, or a row has no text.
        """
        offset = self.first_byte(start, stop)
        with self.open() as file:
            file.seek(offset)
            while offset < stop:
                with file_errors(self.path), unpacking(self.path):
                    line = file.readline()
                if not line:
                    raise UserError(f"{self.name} has become shorter; prepare it afresh into another folder.")
                text = row_text(line, f"{self.path}, the line that begins at byte {offset},", self.field)
                kept, after = text.encode("utf-8").strip(), offset + len(line)
                if kept:
                    yield EncodedFragment(kept, True, offset, after)
                offset = after


class ParquetSource:
    """The rows of a Parquet file, of which one column is the text.

    Raises:
        UserError: the package pyarrow is not installed, the file cannot be read, or it has no such column.
    """

    has_rows = True

    def __init__(self, path: Path | str, field: str = TEXT_FIELD) -> None:
        self.path = Path(path)
        self.field = field
        self.name = self.path.name
        self.file = self.open()
        self.size = self.file.metadata.num_rows

    def open(self) -> Any:
        """Return the file, opened."""
        try:
            from pyarrow import ArrowInvalid, parquet
        except ModuleNotFoundError:
            raise UserError(
                f"{self.name} is a Parquet file, and to read it takes the package pyarrow; pip install pyarrow."
            ) from None
        try:
            with file_errors(self.path):
                file = parquet.ParquetFile(self.path)
        except ArrowInvalid as error:
            raise UserError(f"{self.path} is no Parquet file that can be read ({_first_line(error)}).") from None
        if self.field not in file.schema_arrow.names:
            columns = ", ".join(file.schema_arrow.names)
            raise UserError(
                f"{self.path} has no column {self.field!r}, only {columns}; rename the column with the texts, or name "
                "it with `minigpt data prepare --field`."
            )
        return file

    def fingerprint(self) -> Any:
        """Return the time when the file was changed last."""
        return self.path.stat().st_mtime_ns

    def read(
        self, start: int, stop: int, separator: str | None, inside: bool, can_split: bool
    ) -> Iterator[EncodedFragment]:
        """Yield every row's text, trimmed of white space, unless it is empty; rows are never cut.

        Raises:
            UserError: the file is damaged.
        """
        row = 0
        for group in range(self.file.num_row_groups):
            n_rows = self.file.metadata.row_group(group).num_rows
            if row + n_rows <= start:
                row += n_rows
                continue
            for text in self.texts(group):
                row += 1
                kept = (text or "").encode("utf-8").strip()
                if row > start and kept:
                    yield EncodedFragment(kept, True, row - 1, row)

    def texts(self, group: int) -> Iterator[str | None]:
        """Yield the texts of a group of rows, some at a time."""
        try:
            for batch in self.file.iter_batches(batch_size=256, row_groups=[group], columns=[self.field]):
                yield from batch.column(0).to_pylist()
        except (OSError, ValueError) as error:  # pyarrow's own errors are both
            raise UserError(f"{self.path} is damaged ({_first_line(error)}); fetch it again.") from None


def _first_line(error: Exception) -> str:
    """Return the first line of what an error says, without a full stop."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


TRAIN, VALIDATION = "train", "validation"


BATCH = 1_000_000  # bytes of text that are encoded together


class FileSpan(NamedTuple):
    """From where to where a file is read, and the part its documents belong to; None leaves that to their number."""

    source: Source
    part: str | None
    start: int
    stop: int


class ReadPosition(NamedTuple):
    """Where reading stands: span and offset, how many documents have begun, and whether one of them goes on."""

    span: int = 0
    offset: int | None = None
    documents: int = 0
    inside: bool = False


class Chunk(NamedTuple):
    """A fragment with the part it belongs to and the file it comes from."""

    text: bytes
    part: str
    begins: bool
    file: str
    offset: int


class Batch(NamedTuple):
    """Chunks to be encoded together, and where reading stands after them."""

    chunks: list[Chunk]
    after: ReadPosition


@dataclass(frozen=True)
class Documents:
    """The documents of some spans: between two separators or, without one, a span each.

    White space around a separator is left out, and so are empty documents. Where a span names no part,
    `val_fraction` of the documents is held out, evenly spread: with 0.05 every 20th.
    """

    spans: Sequence[FileSpan]
    separator: str | None
    val_fraction: float

    def batches(self, place: ReadPosition, can_split: bool) -> Iterator[Batch]:
        """Yield the documents from a place on; with `can_split`, long ones are cut between two words.

        Raises:
            UserError: a file cannot be read, has become shorter, or holds a document that is too long.
        """
        chunks: list[Chunk] = []
        size = 0
        for chunk, after in self.chunks(place, can_split):
            chunks.append(chunk)
            size += len(chunk.text)
            if size >= BATCH:
                yield Batch(chunks, after)
                chunks, size = [], 0
        if chunks:
            yield Batch(chunks, after)

    def chunks(self, place: ReadPosition, can_split: bool) -> Iterator[tuple[Chunk, ReadPosition]]:
        """Yield every chunk from a place on, and the place after it."""
        documents, inside, is_held_out = place.documents, place.inside, _holdout_rule(self.val_fraction)
        for number, span in enumerate(self.spans):
            if number < place.span:
                continue
            offset = place.offset if number == place.span else None
            start = span.start if offset is None else offset
            continues = offset is not None and inside
            for fragment in span.source.read(start, span.stop, self.separator, continues, can_split):
                documents += fragment.begins
                part = span.part or (VALIDATION if is_held_out(documents - 1) else TRAIN)
                chunk = Chunk(fragment.text, part, fragment.begins, span.source.name, fragment.offset)
                yield chunk, ReadPosition(number, fragment.after, documents, fragment.goes_on)

    @property
    def n_bytes(self) -> int | None:
        """How much there is to read, as far as that is known before."""
        known = all(getattr(span.source, "size_in_bytes", not has_rows(span.source)) for span in self.spans)
        return sum(span.stop - span.start for span in self.spans) if known else None

    def describe(self) -> dict[str, Any]:
        """Return as JSON values what the documents are read from, and how."""
        files = [
            {"name": source.name, "part": part, "start": start, "stop": stop, **_field_of(source)}
            for source, part, start, stop in self.spans
        ]
        return {"files": files, "separator": self.separator, "val_fraction": self.val_fraction}

    def fingerprints(self) -> list[Any]:
        """Return values that change when a file does."""
        return [span.source.fingerprint() for span in self.spans]


def _field_of(source: Source) -> dict[str, Any]:
    """Return the field that the texts of a table stand in, if it is another than usual."""
    field = getattr(source, "field", TEXT_FIELD)
    return {} if field == TEXT_FIELD else {"field": field}


def split_documents(
    files: Sequence[Source | Path | str],
    held_out: Sequence[Source | Path | str] = (),
    *,
    separator: str | None = None,
    val_fraction: float = 0.05,
    field: str = TEXT_FIELD,
) -> Documents:
    """Return the documents of some files, with the files in `held_out`, if any, as the validation part.

    `field` is the field or column of the text in files of rows, `.jsonl` and `.parquet`. Without `held_out` a share of
    the documents is held out or, where whole files are the documents and there are too few of them, the end of each.

    Raises:
        UserError: there is no file or one cannot be read, the share is not between 0 and 1, or the separator is empty.
    """
    if len(files) <= 0:
        raise UserError("There is nothing to prepare; name at least one file.")
    if not 0 < val_fraction < 1:
        raise UserError(f"val_fraction = {val_fraction} must lie between 0 and 1.")
    if separator == "":
        raise UserError("The separator is empty; leave it out, or name a text that stands between documents.")
    files, held_out = ([_open_source(file, field) for file in each] for each in (files, held_out))
    if held_out:
        spans = [FileSpan(file, TRAIN, 0, file.size) for file in files]
        spans += [FileSpan(file, VALIDATION, 0, file.size) for file in held_out]
        return Documents(spans, separator, val_fraction)
    many = separator is not None or any(map(has_rows, files)) or len(files) * val_fraction >= 1
    if many:
        return Documents([FileSpan(file, None, 0, file.size) for file in files], separator, val_fraction)
    spans = []
    for file in files:
        border = file.line_after(round(file.size * (1 - val_fraction)))  # type: ignore[attr-defined]
        spans += [FileSpan(file, TRAIN, 0, border), FileSpan(file, VALIDATION, border, file.size)]
    return Documents(spans, separator, val_fraction)


def _open_source(file: Source | Path | str, field: str = TEXT_FIELD) -> Source:
    """Return a file, named by its path, as a source of documents; a source is returned as it is.

    Raises:
        UserError: the file is missing, or cannot be read.
    """
    if not isinstance(file, (Path, str)):
        return file
    path = Path(file)
    if path.suffix == ".parquet":
        if not path.exists():
            raise UserError(f"{path} does not exist; check the path.")
        return ParquetSource(path, field)
    return JsonLinesSource(path, field) if is_json_lines(path) else TextSource(path)


def check_separator(documents: Documents) -> None:
    """Raise `UserError` if there is a separator and it stands in none of the texts, which would make each a document.

    Files of rows need none, and are not searched.
    """
    separator = documents.separator
    if separator is None:
        return
    sources = {id(each.source): each.source for each in documents.spans}.values()
    if any(has_rows(source) or _holds(source, separator) for source in sources):
        return
    names = ", ".join(source.name for source in sources)
    with_returns = separator.replace("\n", "\r\n")
    returns = "\n" in separator and "\r" not in separator and any(_holds(source, with_returns) for source in sources)
    remedy = (
        f"lines end in \\r\\n there, so name {_escaped(with_returns)}"
        if returns
        else "name a text that stands between documents, or leave it out"
    )
    raise UserError(f"The separator {_escaped(separator)} stands nowhere in {names}; {remedy}.")


def _holds(source: Any, text: str) -> bool:
    """Return whether a file of text holds a text; reading ends where it does."""
    sought, before = text.encode("utf-8"), b""
    with source.open() as file:
        while block := source.next_block(file, _BLOCK_BYTES):
            if sought in before + block:
                return True
            before = (before + block)[-len(sought) :]
    return False


def _escaped(text: str) -> str:
    """Return a text as it is written on the command line."""
    return "'" + text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + "'"


def _holdout_rule(share: float) -> Callable[[int], bool]:
    """Return the rule that tells of a document's number, from 0, whether it is among the share that is held out."""
    above, below = Fraction(str(share)).as_integer_ratio()
    return lambda number: (number + 1) * above // below > number * above // below
