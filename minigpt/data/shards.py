"""Token shards on disk: the manifest that describes them, and the reader that maps them into memory as one sequence."""

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minigpt.data.batches import Split
from minigpt.tokenizer.base import Tokenizer, load_tokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.files import is_plain_name, read_json, sha256_file, verify_checksum

MANIFEST = "shards.json"


SHARD_FORMAT = 1


PARTS = ("train", "validation")


TOKEN_DTYPES = ("<u2", "<u4")


_PREPARE_AGAIN = "prepare the text again into another folder"


_COUNTED_FIELDS = ("tokens", "documents", "characters", "bytes")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what `shards.json` holds.

    Raises:
        UserError: there is none, or it is damaged or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(
            f"{folder} holds no finished shards (no {MANIFEST}); check the path, or finish `minigpt data prepare`."
        )
    manifest = read_json(path)
    complete = {"format", "type", "tokenizer", "parts", "made_from"} <= manifest.keys() and manifest[
        "format"
    ] == SHARD_FORMAT
    if not complete:
        raise UserError(f"{path} is no manifest of format {SHARD_FORMAT}; {_PREPARE_AGAIN}.")
    parts = manifest["parts"]
    sound = manifest["type"] in TOKEN_DTYPES and isinstance(parts, dict) and set(PARTS) <= parts.keys()
    if not sound or not isinstance(manifest["made_from"], dict) or not all(map(_is_part, parts.values())):
        raise UserError(f"{path} is damaged; copy it again, or {_PREPARE_AGAIN}.")
    verify_checksum(path, "the shards")
    return manifest


def _is_part(part: Any) -> bool:
    """Return whether this can be what a manifest says of one part of a text."""
    return (
        isinstance(part, dict)
        and all(_is_count(part.get(name)) for name in _COUNTED_FIELDS)
        and isinstance(part.get("shards"), list)
        and all(map(_is_shard, part["shards"]))
        and sum(shard["tokens"] for shard in part["shards"]) == part["tokens"]
    )


def _is_shard(shard: Any) -> bool:
    """Return whether this can be what a manifest says of one file; its name leads to no other folder."""
    return (
        isinstance(shard, dict)
        and is_plain_name(shard.get("file"))
        and all(_is_count(shard.get(name)) for name in ("tokens", "largest"))
        and shard["tokens"] > 0
        and isinstance(shard.get("sha256"), str)
    )


def _is_count(value: Any) -> bool:
    """Return whether this is a number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def token_dtype(vocab_size: int) -> np.dtype:
    """Return the type in which ids are kept: two bytes where those suffice, otherwise four; the lowest byte first."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


TOKENIZER_FILE = "tokenizer.json"


class TokenShards:
    """The ids of one part, in several files, as if they stood in one vector: (N,).

    `ids[a:b]` reads that stretch from the disk and returns it as integers of 64 bits; nothing else is kept in memory.

    Raises:
        UserError: a file is missing, or has another size than the manifest says.
    """

    def __init__(self, folder: Path, shards: list[dict[str, Any]], type: np.dtype) -> None:
        for shard in shards:
            path, size = folder / shard["file"], shard["tokens"] * type.itemsize
            if not path.is_file():
                raise UserError(f"{path} does not exist; copy the whole folder, or {_PREPARE_AGAIN}.")
            found = path.stat().st_size
            if found != size:
                raise UserError(
                    f"{path} has {found:,} bytes, not {size:,}; it is damaged, so copy it again, or {_PREPARE_AGAIN}."
                )
        self.folder = folder
        self.arrays: list[np.ndarray] = [np.memmap(folder / shard["file"], type, "r") for shard in shards]
        self.ends = list(accumulate(len(array) for array in self.arrays))  # where each file ends
        self.largest = max((shard["largest"] for shard in shards), default=0)

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, places: slice) -> Tensor:
        """Return a stretch of ids, which may go on over the ends of files: (b - a,).

        Raises:
            UserError: an id is larger than the manifest says, so that a file is damaged.
        """
        if not isinstance(places, slice):
            raise TypeError(f"Shards are read in slices, as ids[a:b], not as ids[{places!r}].")
        start, stop, step = places.indices(len(self))
        if step != 1:
            raise UserError(f"Shards are read in order, without a step; take ids[a:b][::{step}].")
        parts: list[np.ndarray] = [np.empty(0, np.int64)]
        number = bisect_right(self.ends, start)
        while start < stop:
            begin = self.ends[number] - len(self.arrays[number])
            parts.append(self.arrays[number][start - begin : stop - begin].astype(np.int64))
            start, number = self.ends[number], number + 1
        ids = np.concatenate(parts)
        largest = int(ids.max(initial=0))
        if largest > self.largest:
            raise UserError(
                f"A shard in {self.folder} holds the id {largest}, where the largest is {self.largest}; it is "
                "damaged, so "
                f"find out which with `minigpt data check`, or {_PREPARE_AGAIN}."
            )
        return torch.from_numpy(ids)

    def max(self) -> int:
        """Return the largest id, which the manifest knows."""
        return self.largest


@dataclass(frozen=True)
class ShardedDataset:
    """An open folder of shards."""

    folder: Path
    manifest: dict[str, Any]
    tokenizer: Tokenizer
    split: Split

    @property
    def sha256(self) -> str:
        """The checksum of the manifest, which holds those of all shards and of the tokenizer."""
        return sha256_file(self.folder / MANIFEST)

    @property
    def n_bytes(self) -> int:
        """How many bytes of ids the files hold."""
        tokens = sum(part["tokens"] for part in self.manifest["parts"].values())
        return tokens * np.dtype(self.manifest["type"]).itemsize

    def __str__(self) -> str:
        parts = self.manifest["parts"]
        sizes = [
            f"{name} {pluralize(part['tokens'], 'token')} in {pluralize(part['documents'], 'document')}"
            for name, part in parts.items()
        ]
        shards = pluralize(sum(len(part["shards"]) for part in parts.values()), "shard")
        return f"{self.folder}: {', '.join(sizes)}; {shards}, {self.tokenizer}."


def open_shards(folder: Path | str) -> ShardedDataset:
    """Open a folder of shards; the ids stay on the disk until they are asked for.

    Raises:
        UserError: it holds no shards, or unfinished ones, or a file is missing or of the wrong size.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
    if tokenizer_sha256(tokenizer) != manifest["tokenizer"]:
        raise UserError(
            f"{folder / TOKENIZER_FILE} is not the tokenizer that the shards were made with; copy it again, "
            f"or {_PREPARE_AGAIN}."
        )
    type = np.dtype(manifest["type"])
    if type != token_dtype(tokenizer.vocab_size):
        raise UserError(
            f"{folder / MANIFEST} names another type of ids than {tokenizer} has; it is damaged, so {_PREPARE_AGAIN}."
        )
    parts = [TokenShards(folder, manifest["parts"][name]["shards"], type) for name in PARTS]
    highest = max(part.max() for part in parts)
    if highest >= tokenizer.vocab_size:
        raise UserError(
            f"{folder / MANIFEST} tells of the id {highest}, which is not among the tokenizer's "
            f"{tokenizer.vocab_size}; "
            f"copy it again, or {_PREPARE_AGAIN}."
        )
    return ShardedDataset(folder, manifest, tokenizer, Split(*parts))


def check_shards(folder: Path | str) -> ShardedDataset:
    """Compare every shard with its checksum in the manifest, which reads all of them.

    Raises:
        UserError: a shard was altered, or the folder cannot be opened.
    """
    prepared = open_shards(folder)
    for part in prepared.manifest["parts"].values():
        for shard in part["shards"]:
            path = prepared.folder / shard["file"]
            if sha256_file(path) != shard["sha256"]:
                raise UserError(
                    f"{path} does not have the checksum that stands in {MANIFEST}; copy it again, or {_PREPARE_AGAIN}."
                )
    return prepared


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """Return a checksum of everything that makes up a tokenizer."""
    return hashlib.sha256(repr(sorted(tokenizer.to_dict().items())).encode("utf-8", "surrogatepass")).hexdigest()


def pluralize(number: int, name: str) -> str:
    """Return a number with the name of what is counted: 1 shard, 2 shards."""
    return f"{number:,} {name}{'s' * (number != 1)}"
