"""A Parquet file with a column of texts, as data sets for training are often published: every row is a document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minigpt.errors import UserError, reading
from minigpt.shards.sources import Fragment

COLUMN = "text"


class ParquetSource:
    """The rows of a Parquet file.

    Raises:
        UserError: the package pyarrow is not installed, the file cannot be read, or it has no column `text`.
    """

    has_rows = True

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
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
            with reading(self.path):
                file = parquet.ParquetFile(self.path)
        except ArrowInvalid as error:
            raise UserError(f"{self.path} is no Parquet file that can be read ({first_line(error)}).") from None
        if COLUMN not in file.schema_arrow.names:
            columns = ", ".join(file.schema_arrow.names)
            raise UserError(f"{self.path} has no column {COLUMN!r}, only {columns}; rename the column with the texts.")
        return file

    def fingerprint(self) -> Any:
        """Return the time when the file was changed last."""
        return self.path.stat().st_mtime_ns

    def read(self, start: int, stop: int, separator: str | None, inside: bool, divisible: bool) -> Iterator[Fragment]:
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
                    yield Fragment(kept, True, row - 1, row)

    def texts(self, group: int) -> Iterator[str | None]:
        """Yield the texts of a group of rows, some at a time."""
        try:
            for batch in self.file.iter_batches(batch_size=256, row_groups=[group], columns=[COLUMN]):
                yield from batch.column(0).to_pylist()
        except (OSError, ValueError) as error:  # pyarrow's own errors are both
            raise UserError(f"{self.path} is damaged ({first_line(error)}); fetch it again.") from None


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, without a full stop."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
