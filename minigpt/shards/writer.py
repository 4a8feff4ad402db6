"""Ids into files of equal length, so that writing can go on after an interruption."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minigpt.checksums import checksum
from minigpt.config import require
from minigpt.shards.encoding import Encoded

BLOCK = 2**20


class ShardWriter:
    """Writes one part of a text: files of `shard_tokens` ids each, the last one shorter.

    `state` is what has to be noted to go on from here; `ShardWriter.resume` makes the files as they were then.
    """

    def __init__(self, folder: Path, part: str, type: np.dtype, shard_tokens: int, separator: int) -> None:
        self.folder = folder
        self.part = part
        self.type = type
        self.shard_tokens = shard_tokens
        self.separator = separator  # ids that stand before every document but the first
        self.shards: list[dict[str, Any]] = []
        self.open_tokens = 0
        self.counts = {"documents": 0, "characters": 0, "bytes": 0}
        self.file: BinaryIO | None = None

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return self.folder / f"{self.part}-{len(self.shards):05d}.bin"

    @property
    def n_tokens(self) -> int:
        """How many ids were written."""
        return sum(shard["tokens"] for shard in self.shards) + self.open_tokens

    def append(self, encoded: Encoded) -> None:
        """Write some ids, to one file or several; the separator before the first document is left out."""
        ids = encoded.ids[self.separator :] if self.counts["documents"] == 0 else encoded.ids
        for name in self.counts:
            self.counts[name] += getattr(encoded, name)
        while len(ids) > 0:
            room = self.shard_tokens - self.open_tokens
            self.file = self.file or self.path.open("ab")
            self.file.write(ids[:room].tobytes())
            self.open_tokens += len(ids[:room])
            ids = ids[room:]
            if self.open_tokens == self.shard_tokens:
                self.finish_shard()

    def finish_shard(self) -> None:
        """Close the file that is being written, if there is one, and note what is in it."""
        if self.file is None:
            return
        self.flush()
        self.file.close()
        largest = largest_id(self.path, self.type)
        self.shards.append(
            {"file": self.path.name, "tokens": self.open_tokens, "largest": largest, "sha256": checksum(self.path)}
        )
        self.file, self.open_tokens = None, 0

    def flush(self) -> None:
        """Make sure that everything written so far is on the disk."""
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())

    def state(self) -> dict[str, Any]:
        """Return what `resume` needs, as JSON values."""
        return {"shards": list(self.shards), "open_tokens": self.open_tokens, "counts": dict(self.counts)}

    def resume(self, state: dict[str, Any]) -> None:
        """Go back to a state: what was written after it is cut off.

        Raises:
            UserError: a file is missing, or is shorter than it was.
        """
        self.shards, self.open_tokens, self.counts = state["shards"], state["open_tokens"], state["counts"]
        kept = {self.folder / shard["file"]: shard["tokens"] for shard in self.shards}
        kept |= {self.path: self.open_tokens} if self.open_tokens > 0 else {}
        for path, tokens in kept.items():
            require(
                path.is_file() and path.stat().st_size >= tokens * self.type.itemsize,
                f"{path} is not what the interrupted run left there; delete {self.folder} and begin again.",
            )
        for later in set(self.folder.glob(f"{self.part}-*.bin")) - set(kept):
            later.unlink()
        if self.open_tokens > 0:
            self.file = self.path.open("r+b")
            self.file.truncate(self.open_tokens * self.type.itemsize)
            self.file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Let go of the file, finished or not."""
        if self.file is not None:
            with suppress(OSError):  # the disk is full, which has been told already
                self.file.close()


def largest_id(path: Path, type: np.dtype) -> int:
    """Return the largest id in a file, which is read block by block."""
    largest = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            largest = max(largest, int(np.frombuffer(block, type).max()))
    return largest
