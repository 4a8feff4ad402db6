"""What a file of documents is, of whatever format."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol


class Fragment(NamedTuple):
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

    def read(self, start: int, stop: int, separator: str | None, inside: bool, divisible: bool) -> Iterator[Fragment]:
        """Yield what stands between two places, beginning inside a document or not."""


def has_rows(source: Source) -> bool:
    """Return whether a file is a table, whose size is counted in rows."""
    return getattr(source, "has_rows", False)
