"""Token shards: the ids of a text in files, mapped into memory, so that it may be larger than the memory.

A folder of shards is made by `minigpt data prepare`. It holds `tokenizer.json`, the files `train-00000.bin` and so on
with nothing but ids in them, and `shards.json`, which says how many ids each has, of which type, and its checksum.
"""

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minigpt.checksums import checksum
from minigpt.config import read_json, require
from minigpt.data import Split
from minigpt.tokenizers import Tokenizer, load_tokenizer

MANIFEST = "shards.json"
TOKENIZER = "tokenizer.json"
FORMAT = 1
PREPARE_AGAIN = "prepare the text again into another folder"


class Shards:
    """The ids of one part, in several files, as if they stood in one vector: (N,).

    `ids[a:b]` reads that stretch from the disk and returns it as integers of 64 bits; nothing else is kept in memory.

    Raises:
        UserError: a file is missing, or has another size than the manifest says.
    """

    def __init__(self, folder: Path, shards: list[dict[str, Any]], type: np.dtype) -> None:
        for shard in shards:
            path, size = folder / shard["file"], shard["tokens"] * type.itemsize
            require(path.is_file(), f"{path} does not exist; copy the whole folder, or {PREPARE_AGAIN}.")
            found = path.stat().st_size
            require(
                found == size,
                f"{path} has {found:,} bytes, not {size:,}; it is damaged, so copy it again, or {PREPARE_AGAIN}.",
            )
        self.arrays: list[np.ndarray] = [np.memmap(folder / shard["file"], type, "r") for shard in shards]
        self.ends = list(accumulate(len(array) for array in self.arrays))  # where each file ends
        self.largest = max((shard["largest"] for shard in shards), default=0)

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, places: slice) -> Tensor:
        """Return a stretch of ids, which may go on over the ends of files: (b - a,)."""
        if not isinstance(places, slice):
            raise TypeError(f"Shards are read in slices, as ids[a:b], not as ids[{places!r}].")
        start, stop, step = places.indices(len(self))
        require(step == 1, f"Shards are read in order, without a step; take ids[a:b][::{step}].")
        parts: list[np.ndarray] = [np.empty(0, np.int64)]
        number = bisect_right(self.ends, start)
        while start < stop:
            begin = self.ends[number] - len(self.arrays[number])
            parts.append(self.arrays[number][start - begin : stop - begin].astype(np.int64))
            start, number = self.ends[number], number + 1
        return torch.from_numpy(np.concatenate(parts))

    def max(self) -> int:
        """Return the largest id, which the manifest knows."""
        return self.largest


@dataclass(frozen=True)
class Prepared:
    """An open folder of shards."""

    folder: Path
    manifest: dict[str, Any]
    tokenizer: Tokenizer
    split: Split

    @property
    def sha256(self) -> str:
        """The checksum of the manifest, which holds those of all shards and of the tokenizer."""
        return checksum(self.folder / MANIFEST)

    def __str__(self) -> str:
        parts = self.manifest["parts"]
        sizes = [
            f"{name} {counted(part['tokens'], 'token')} in {counted(part['documents'], 'document')}"
            for name, part in parts.items()
        ]
        shards = counted(sum(len(part["shards"]) for part in parts.values()), "shard")
        return f"{self.folder}: {', '.join(sizes)}; {shards}, {self.tokenizer}."


def open_shards(folder: Path | str) -> Prepared:
    """Open a folder of shards; the ids stay on the disk until they are asked for.

    Raises:
        UserError: it holds no shards, or unfinished ones, or a file is missing or of the wrong size.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    require(
        tokenizer_sha256(tokenizer) == manifest["tokenizer"],
        f"{folder / TOKENIZER} is not the tokenizer that the shards were made with; copy it again, or {PREPARE_AGAIN}.",
    )
    type = np.dtype(manifest["type"])
    parts = [Shards(folder, manifest["parts"][name]["shards"], type) for name in ("train", "validation")]
    return Prepared(folder, manifest, tokenizer, Split(*parts))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what `shards.json` holds.

    Raises:
        UserError: there is none, or it is of another format.
    """
    path = folder / MANIFEST
    require(
        path.is_file(),
        f"{folder} holds no finished shards (no {MANIFEST}); check the path, or finish `minigpt data prepare`.",
    )
    manifest = read_json(path)
    complete = {"format", "type", "tokenizer", "parts"} <= manifest.keys() and manifest["format"] == FORMAT
    require(complete, f"{path} is no manifest of format {FORMAT}; {PREPARE_AGAIN}.")
    return manifest


def check_shards(folder: Path | str) -> Prepared:
    """Compare every shard with its checksum in the manifest, which reads all of them.

    Raises:
        UserError: a shard was altered, or the folder cannot be opened.
    """
    prepared = open_shards(folder)
    for part in prepared.manifest["parts"].values():
        for shard in part["shards"]:
            path = prepared.folder / shard["file"]
            require(
                checksum(path) == shard["sha256"],
                f"{path} does not have the checksum that stands in {MANIFEST}; copy it again, or {PREPARE_AGAIN}.",
            )
    return prepared


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """Return a checksum of everything that makes up a tokenizer."""
    return hashlib.sha256(repr(sorted(tokenizer.to_dict().items())).encode("utf-8", "surrogatepass")).hexdigest()


def counted(number: int, name: str) -> str:
    """Return a number with the name of what is counted: 1 shard, 2 shards."""
    return f"{number:,} {name}{'s' * (number != 1)}"
