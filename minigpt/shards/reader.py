"""Token shards: the ids of a text in files, mapped into memory, so that it may be larger than the memory.

A folder of shards is made by `minigpt data prepare`. It holds `tokenizer.json`, the files `train-00000.bin` and so on
with nothing but ids in them, `shards.json`, which says how many ids each has, of which type, and its checksum, and
`SHA256SUMS` with the checksums of all of these.
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
from minigpt.config import require
from minigpt.data import Split
from minigpt.shards.encoding import array_type
from minigpt.shards.manifest import MANIFEST, PARTS, PREPARE_AGAIN, read_manifest
from minigpt.tokenizers import Tokenizer, load_tokenizer

TOKENIZER = "tokenizer.json"


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
        require(step == 1, f"Shards are read in order, without a step; take ids[a:b][::{step}].")
        parts: list[np.ndarray] = [np.empty(0, np.int64)]
        number = bisect_right(self.ends, start)
        while start < stop:
            begin = self.ends[number] - len(self.arrays[number])
            parts.append(self.arrays[number][start - begin : stop - begin].astype(np.int64))
            start, number = self.ends[number], number + 1
        ids = np.concatenate(parts)
        largest = int(ids.max(initial=0))
        require(
            largest <= self.largest,
            f"A shard in {self.folder} holds the id {largest}, where the largest is {self.largest}; it is damaged, so "
            f"find out which with `minigpt data check`, or {PREPARE_AGAIN}.",
        )
        return torch.from_numpy(ids)

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

    @property
    def n_bytes(self) -> int:
        """How many bytes of ids the files hold."""
        tokens = sum(part["tokens"] for part in self.manifest["parts"].values())
        return tokens * np.dtype(self.manifest["type"]).itemsize

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
    require(
        type == array_type(tokenizer.vocab_size),
        f"{folder / MANIFEST} names another type of ids than {tokenizer} has; it is damaged, so {PREPARE_AGAIN}.",
    )
    parts = [Shards(folder, manifest["parts"][name]["shards"], type) for name in PARTS]
    highest = max(part.max() for part in parts)
    require(
        highest < tokenizer.vocab_size,
        f"{folder / MANIFEST} tells of the id {highest}, which is not among the tokenizer's {tokenizer.vocab_size}; "
        f"copy it again, or {PREPARE_AGAIN}.",
    )
    return Prepared(folder, manifest, tokenizer, Split(*parts))


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
