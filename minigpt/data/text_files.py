"""Text as it comes: with a byte order mark, packed with gzip, as JSON Lines, in a folder, or on standard input."""

import codecs
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from minigpt.utils.errors import UserError, file_errors, utf8_error

STDIN = Path("-")


TEXT_FIELD = "text"  # of a row, where no other is named


TEXT_ENDINGS = (".txt", ".text", ".md", ".jsonl", ".ndjson", ".parquet")  # of the files taken from a folder


_FOREIGN = (  # how a file begins, what it is, and what to do
    (rb"PK\x03\x04", "a zip archive, as documents of Word and books in epub are", "unpack it, and name the text in it"),
    (rb"%PDF", "a PDF", "take its text out first, with pdftotext for example"),
    (rb"PAR1", "a Parquet file", "give it the ending .parquet, and read it with `minigpt data prepare`"),
    (rb"\xff\xfe|\xfe\xff", "text in UTF-16", "convert it to UTF-8 first, with iconv -f UTF-16 -t UTF-8 for example"),
    (rb"BZh\d1AY&SY", "packed with bzip2", "unpack it first, with bunzip2"),
    (rb"\xfd7zXZ\x00", "packed with xz", "unpack it first, with unxz"),
    (rb"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it first, with unzstd"),
    (rb"7z\xbc\xaf'\x1c", "a 7z archive", "unpack it, and name the text in it"),
    (rb"(?s).{257}ustar", "a tar archive", "unpack it, and name the folder"),
    (rb"\{\\rtf1", "rich text", "save it as plain text first"),
)


_BEGINNING = 512  # bytes that tell what a file is


def open_bytes(path: Path) -> BinaryIO:
    """Open a file of text; what was packed with gzip is unpacked while it is read.

    Raises:
        UserError: the file is missing, or is something else than text.
    """
    with file_errors(path), unpacking(path):
        file: BinaryIO = path.open("rb")
        try:
            if file.read(2) == b"\x1f\x8b":
                file.close()
                file = cast("BinaryIO", gzip.open(path, "rb"))  # noqa: SIM115
            file.seek(0)
            beginning = file.read(_BEGINNING)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    for pattern, kind, remedy in _FOREIGN:
        if re.match(pattern, beginning):
            file.close()
            raise UserError(f"{path} is {kind}; {remedy}.")
    return file


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Turn what a damaged gzip file brings about into a `UserError`."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{path} is packed with gzip and truncated or damaged; fetch it again.") from None


def mark_length(file: BinaryIO) -> int:
    """Return how many bytes of a file, which is left at its beginning, are a byte order mark: none, or three."""
    beginning = file.read(len(codecs.BOM_UTF8))
    file.seek(0)
    return len(codecs.BOM_UTF8) if beginning == codecs.BOM_UTF8 else 0


def read_text(path: Path | str) -> str:
    """Return the text of a UTF-8 file, line ends as they are, without a byte order mark.

    A file packed with gzip is unpacked. Of a `.jsonl` file it is the texts of its rows, with an empty line between two.

    Raises:
        UserError: the file is missing, empty, a folder, or not UTF-8.
    """
    path = Path(path)
    with open_bytes(path) as file, file_errors(path), unpacking(path):
        content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise utf8_error(path, error.start) from None
    if is_json_lines(path):
        lines = text.encode("utf-8").splitlines()
        rows = (row_text(line, f"{path}, line {number}") for number, line in enumerate(lines, 1))
        text = "\n\n".join(filter(None, rows))
    if len(text) <= 0:
        raise UserError(f"{path} is empty; choose a file with some text in it.")
    return text


def read_stdin() -> str:
    """Return the text on standard input.

    Raises:
        UserError: there is none, or it is not UTF-8.
    """
    content = sys.stdin.buffer.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise utf8_error("What standard input gives", error.start) from None
    if len(text) <= 0:
        raise UserError("Standard input gives no text; send some through a pipe, or name a file.")
    return text


def read_texts(path: Path) -> str:
    """Return the text of a file, of a folder's files one after the other with an empty line between, or of `-`.

    Raises:
        UserError: a file cannot be read, or the folder holds none that can.
    """
    if path == STDIN:
        return read_stdin()
    return "\n\n".join(map(read_text, list_texts([path])))


def list_texts(paths: Iterable[Path]) -> list[Path]:
    """Return files as they are and, in place of each folder, the files of text in it and below it, in order.

    Raises:
        UserError: a folder holds no such file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(each for each in path.rglob("*") if _is_text_name(each) and each.is_file())
        if len(inside) <= 0:
            raise UserError(f"{path} holds no file that ends in {', '.join(TEXT_ENDINGS)}; name the files themselves.")
        found += inside
    return found


def _is_text_name(path: Path) -> bool:
    """Return whether a file in a folder is one of text by its name, packed or not, and not hidden."""
    return not path.name.startswith(".") and path.name.lower().removesuffix(".gz").endswith(TEXT_ENDINGS)


def is_json_lines(path: Path) -> bool:
    """Return whether a file holds one JSON object a line, by its name."""
    return path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson"))


def row_text(line: bytes, place: str, field: str = TEXT_FIELD) -> str:
    """Return the text of a line of JSON Lines; that of an empty line is empty.

    Raises:
        UserError: the line is no JSON object, or its field holds no text.
    """
    if not line.strip():
        return ""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{place} is not JSON; each line of a .jsonl file must be a JSON object.") from None
    if not isinstance(row, dict):
        raise UserError(f"{place} is JSON but no object; each line of a .jsonl file must be one.")
    text = row.get(field)
    if not isinstance(text, str):
        names = ", ".join(map(repr, row)) or "none"
        raise UserError(
            f"{place} has no text under {field!r}; its fields are {names}, so name another with `minigpt data prepare "
            "--field`."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{place} holds half of a surrogate pair; leave that row out.") from None
    return text
