"""A folder that shards are being written to: what may stand there, and how far the work has come."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigpt.config import read_json, require
from minigpt.files import LOCK, draft_of, replace_text
from minigpt.shards.reader import TOKENIZER

PROGRESS = "progress.json"
READABLE = {
    "files": "texts",
    "separator": "separator",
    "validation_share": "validation share",
    "tokenizer": "tokenizer",
    "shard_tokens": "number of tokens a shard",
}


def write_progress(folder: Path, noted: dict[str, Any]) -> None:
    """Note how far the work has come, with a checksum, in one step."""
    replace_text(folder / PROGRESS, json.dumps(noted | {"sha256": digest(noted)}, indent=1) + "\n")


def read_progress(folder: Path) -> dict[str, Any]:
    """Return what was noted last, and clear away a note in whose midst a run was killed.

    Raises:
        UserError: the note is damaged.
    """
    path = folder / PROGRESS
    noted = read_json(path)
    whole = noted.pop("sha256", None) == digest(noted)
    require(whole, f"{path} is damaged; delete {folder} and begin again.")
    draft_of(path).unlink(missing_ok=True)
    return noted


def clear_progress(folder: Path) -> None:
    """Clear away what was noted of work that is done; where nothing can be written, it may stay."""
    for path in (folder / PROGRESS, draft_of(folder / PROGRESS)):
        with suppress(OSError):
            path.unlink()


def digest(noted: dict[str, Any]) -> str:
    """Return a checksum of what is noted."""
    return hashlib.sha256(json.dumps(noted).encode("utf-8")).hexdigest()


def require_same(folder: Path, request: dict[str, Any], earlier: dict[str, Any]) -> None:
    """Raise `UserError` if a folder was begun with another request."""
    for name, value in request.items():
        require(
            earlier.get(name) == value,
            f"{folder} was begun with another {READABLE[name]}; use the same, or choose a new folder.",
        )


def require_free(folder: Path) -> None:
    """Raise `UserError` if a folder holds anything that a run does not leave there before its first note."""
    ours = {LOCK, TOKENIZER, draft_of(folder / TOKENIZER).name, draft_of(folder / PROGRESS).name}
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    foreign = min(found - ours, default=None)
    require(foreign is None, f"{folder} holds other files already, such as {foreign}; choose a new folder.")
