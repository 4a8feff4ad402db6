"""`shards.json`: what stands in a folder of shards, and whether that can be true."""

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from minigpt.checksums import verify
from minigpt.config import read_json, require

MANIFEST = "shards.json"
FORMAT = 1
PARTS = ("train", "validation")
TYPES = ("<u2", "<u4")
PREPARE_AGAIN = "prepare the text again into another folder"
COUNTED = ("tokens", "documents", "characters", "bytes")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what `shards.json` holds.

    Raises:
        UserError: there is none, or it is damaged or of another format.
    """
    path = folder / MANIFEST
    require(
        path.is_file(),
        f"{folder} holds no finished shards (no {MANIFEST}); check the path, or finish `minigpt data prepare`.",
    )
    manifest = read_json(path)
    complete = {"format", "type", "tokenizer", "parts", "made_from"} <= manifest.keys() and manifest["format"] == FORMAT
    require(complete, f"{path} is no manifest of format {FORMAT}; {PREPARE_AGAIN}.")
    parts = manifest["parts"]
    sound = manifest["type"] in TYPES and isinstance(parts, dict) and set(PARTS) <= parts.keys()
    require(
        sound and isinstance(manifest["made_from"], dict) and all(map(is_part, parts.values())),
        f"{path} is damaged; copy it again, or {PREPARE_AGAIN}.",
    )
    verify(path, "the shards")
    return manifest


def is_part(part: Any) -> bool:
    """Return whether this can be what a manifest says of one part of a text."""
    return (
        isinstance(part, dict)
        and all(is_count(part.get(name)) for name in COUNTED)
        and isinstance(part.get("shards"), list)
        and all(map(is_shard, part["shards"]))
        and sum(shard["tokens"] for shard in part["shards"]) == part["tokens"]
    )


def is_shard(shard: Any) -> bool:
    """Return whether this can be what a manifest says of one file; its name leads to no other folder."""
    return (
        isinstance(shard, dict)
        and is_plain_name(shard.get("file"))
        and all(is_count(shard.get(name)) for name in ("tokens", "largest"))
        and shard["tokens"] > 0
        and isinstance(shard.get("sha256"), str)
    )


def is_count(value: Any) -> bool:
    """Return whether this is a number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_plain_name(name: Any) -> bool:
    """Return whether this names a file in the folder itself, on any system."""
    if not isinstance(name, str) or name in ("", ".", "..") or "\0" in name:
        return False
    return PurePosixPath(name).name == PureWindowsPath(name).name == name
