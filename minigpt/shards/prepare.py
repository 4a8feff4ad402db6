"""Texts of any size into token shards, in bounded memory, so that a killed run goes on where it stopped.

Every so often everything written is flushed to the disk, and `progress.json` notes how much that is and where reading
stands. The next run cuts off whatever was written after that, and goes on from there: to the same bytes in the end.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minigpt.checksums import NAME as CHECKSUMS
from minigpt.checksums import checksum, listed
from minigpt.config import require
from minigpt.errors import UserError
from minigpt.files import held, replace_text
from minigpt.shards.documents import TRAIN, VALIDATION, Documents, Place
from minigpt.shards.encoding import array_type, is_divisible, separator_ids
from minigpt.shards.folder import (
    PROGRESS,
    clear_progress,
    read_progress,
    require_free,
    require_same,
    write_progress,
)
from minigpt.shards.manifest import FORMAT, MANIFEST, read_manifest
from minigpt.shards.reader import TOKENIZER, Prepared, counted, open_shards, tokenizer_sha256
from minigpt.shards.workers import encode_in_order
from minigpt.shards.writer import ShardWriter
from minigpt.tokenizers import Tokenizer, load_tokenizer

SHARD_TOKENS = 100_000_000
NOTED_EVERY = 64_000_000  # bytes of text between two notes of the progress


def prepare(
    documents: Documents,
    tokenizer: Tokenizer,
    folder: Path | str,
    *,
    shard_tokens: int = SHARD_TOKENS,
    workers: int = 1,
    noted_every: int = NOTED_EVERY,
    progress: bool = False,
    stopped: Callable[[], object] = lambda: None,
) -> Prepared | None:
    """Encode documents into a folder of shards, or go on with it; a finished folder is only opened.

    The shards are the same for any number of `workers`, each a process of its own, and however often the run was
    interrupted. The progress is noted after every `noted_every` bytes of text. When `stopped`, asked after every
    batch, returns something true, the progress is noted and the folder left unfinished: None is returned.

    Raises:
        UserError: the folder holds something else, the texts cannot be read or encoded, or the disk is full.
    """
    for name, size in (("shard_tokens", shard_tokens), ("workers", workers)):
        require(size > 0, f"{name} = {size} must be at least 1.")
    folder = Path(folder)
    request = documents.describe() | {"tokenizer": tokenizer_sha256(tokenizer), "shard_tokens": shard_tokens}
    if (folder / MANIFEST).exists():
        require_same(folder, request, read_manifest(folder)["made_from"])
        clear_progress(folder)
        return open_shards(folder)
    if not (folder / PROGRESS).exists():
        require_free(folder)
    try:
        with held(folder, "preparing"):
            run = PreparingRun(documents, tokenizer, folder, request)
            finished = run.go_on(workers, noted_every, progress, stopped)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); make room or choose another place, and run the same "
            "command again: it goes on where it stopped."
        ) from None
    return open_shards(folder) if finished else None


class PreparingRun:
    """A folder that is being filled with shards, and how far that has come."""

    def __init__(self, documents: Documents, tokenizer: Tokenizer, folder: Path, request: dict[str, Any]) -> None:
        self.documents = documents
        self.tokenizer = tokenizer
        self.folder = folder
        self.request = request
        self.files = documents.fingerprints()
        self.place = Place()
        self.type = array_type(tokenizer.vocab_size)
        separator = len(separator_ids(tokenizer))
        self.writers = {
            part: ShardWriter(folder, part, self.type, request["shard_tokens"], separator)
            for part in (TRAIN, VALIDATION)
        }
        if (folder / PROGRESS).exists():
            self.take_up()
        else:
            self.begin()

    def begin(self) -> None:
        """Put the tokenizer into the folder and note that nothing is done yet."""
        place = self.folder / TOKENIZER
        if place.exists():
            same = load_tokenizer(place).to_dict() == self.tokenizer.to_dict()
            require(same, f"{place} is another tokenizer; use that one, or choose a new folder.")
        self.tokenizer.save(place)
        self.note()

    def take_up(self) -> None:
        """Go back to where the progress was noted last."""
        noted = read_progress(self.folder)
        require_same(self.folder, self.request, noted["made_from"])
        for file, now, then in zip(self.request["files"], self.files, noted["read"], strict=True):
            require(
                now == then, f"{file['name']} was changed since {self.folder} was begun; choose a new folder for it."
            )
        for part, writer in self.writers.items():
            writer.resume(noted["parts"][part])
        self.place = Place(*noted["place"])

    def note(self) -> None:
        """Note how far the work has come, after making sure that so much is on the disk."""
        for writer in self.writers.values():
            writer.flush()
        states = {part: writer.state() for part, writer in self.writers.items()}
        noted = {"made_from": self.request, "read": self.files, "place": self.place, "parts": states}
        write_progress(self.folder, noted)

    def go_on(self, workers: int, noted_every: int, progress: bool, stopped: Callable[[], object]) -> bool:
        """Encode and write what is left, then the manifest; return whether it came to that."""
        batches = self.documents.batches(self.place, is_divisible(self.tokenizer))
        unnoted = 0
        try:
            done = sum(writer.counts["bytes"] for writer in self.writers.values())
            total = self.documents.n_bytes
            with tqdm(total=total, initial=done, unit="B", unit_scale=True, disable=not progress) as bar:
                for place, encoded in encode_in_order(batches, self.tokenizer, workers):
                    for part, each in encoded.items():
                        self.writers[part].append(each)
                    self.place = place
                    size = sum(each.bytes for each in encoded.values())
                    bar.update(size)
                    unnoted += size
                    end = stopped()
                    if end or unnoted >= noted_every:
                        self.note()
                        unnoted = 0
                    if end:
                        return False
            for writer in self.writers.values():
                writer.finish_shard()
        finally:
            for writer in self.writers.values():
                writer.close()
        self.finish()
        return True

    def finish(self) -> None:
        """Write the manifest, which makes the folder one that can be opened."""
        found = {part: writer.counts for part, writer in self.writers.items()}
        n_documents = [counts["documents"] for counts in found.values()]
        require(
            min(n_documents) > 0,
            f"Of {counted(sum(n_documents), 'document')} one part gets none; name a separator or another share to "
            "hold out, or files for validation.",
        )
        parts: dict[str, dict[str, Any]] = {
            part: {"tokens": writer.n_tokens, **writer.counts, "shards": writer.shards}
            for part, writer in self.writers.items()
        }
        manifest = {
            "format": FORMAT,
            "type": self.type.str,
            "vocab_size": self.tokenizer.vocab_size,
            "tokenizer": self.request["tokenizer"],
            "between_documents": self.tokenizer.decode(separator_ids(self.tokenizer)),
            "parts": parts,
            "made_from": self.request,
        }
        text = json.dumps(manifest, indent=1) + "\n"
        sums = {shard["file"]: shard["sha256"] for part in parts.values() for shard in part["shards"]}
        sums |= {TOKENIZER: checksum(self.folder / TOKENIZER), MANIFEST: hashlib.sha256(text.encode()).hexdigest()}
        replace_text(self.folder / CHECKSUMS, listed(sums))
        replace_text(self.folder / MANIFEST, text)
        clear_progress(self.folder)
