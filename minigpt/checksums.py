"""Checksums that tell a damaged file from a whole one.

They stand in a file that `sha256sum --check SHA256SUMS` can read too.
"""

import hashlib
from pathlib import Path

from minigpt.config import require
from minigpt.errors import reading

NAME = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Write the checksums of all the files of a folder into the folder."""
    sums = {path.name: checksum(path) for path in folder.iterdir()}
    (folder / NAME).write_text(listed(sums), encoding="utf-8", newline="\n")


def listed(sums: dict[str, str]) -> str:
    """Return checksums, by the name of the file, as the text of a file of checksums."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def verify(path: Path, what: str = "the checkpoint") -> None:
    """Compare a file, which is part of `what`, with the checksum in its folder; without checksums, do nothing.

    Raises:
        UserError: the file is missing, or has another checksum, or has none there.
    """
    sums = path.parent / NAME
    require(path.is_file(), f"{path} does not exist; copy or save {what} again.")
    if not sums.exists():
        return
    pairs = [line.split("  ", 1) for line in read_lines(sums)]
    expected = {name: listed for listed, name in pairs}
    require(
        expected.get(path.name) == checksum(path),
        f"{path} does not have the checksum that stands in {NAME}, so one of the two is damaged or was edited; "
        f"copy or save {what} again, or delete {NAME} if you made the change yourself.",
    )


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file of checksums that look like one."""
    with reading(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if "  " in line]


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
