"""Documents encoded into token shards, in several processes, and resumed where an interrupted run stopped."""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from minigpt.data.documents import TRAIN, VALIDATION, Batch, Chunk, Documents, ReadPosition
from minigpt.data.shards import (
    MANIFEST,
    SHARD_FORMAT,
    TOKENIZER_FILE,
    ShardedDataset,
    open_shards,
    pluralize,
    read_manifest,
    token_dtype,
    tokenizer_sha256,
)
from minigpt.tokenizer.base import TOKENIZERS, Tokenizer, load_tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT
from minigpt.tokenizer.char import CharTokenizer, code_points, encode_characters
from minigpt.tokenizer.pretokenize import GPT2_SPLIT_PATTERN
from minigpt.utils.errors import UserError, error_prefix, utf8_error
from minigpt.utils.files import CHECKSUM_FILE as CHECKSUMS
from minigpt.utils.files import (
    LOCK_FILE,
    atomic_write_text,
    exclusive_lock,
    format_checksums,
    read_json,
    sha256_file,
    temp_path,
)


class EncodedChunk(NamedTuple):
    """The ids of some chunks, and how much text they stand for; every document begins with the separator's ids."""

    ids: np.ndarray
    documents: int
    characters: int
    bytes: int


class Encoder:
    """What turns chunks of text into ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.type = token_dtype(tokenizer.vocab_size)
        self.separator = separator_ids(tokenizer)

    def __call__(self, chunks: list[Chunk]) -> dict[str, EncodedChunk]:
        """Return the ids of each part's chunks, in order.

        Raises:
            UserError: a chunk is not UTF-8, or the tokenizer does not know a character.
        """
        by_part: dict[str, list[Chunk]] = {}
        for chunk in chunks:
            by_part.setdefault(chunk.part, []).append(chunk)
        return {part: self.encode(each) for part, each in by_part.items()}

    def encode(self, chunks: list[Chunk]) -> EncodedChunk:
        """Return the ids of chunks that belong to one part."""
        texts = [decode(chunk) for chunk in chunks]
        with error_prefix(f"{chunks[0].file}, from byte {chunks[0].offset}"):
            ids = self.to_array([chunk.begins for chunk in chunks], texts)
        documents, size = sum(chunk.begins for chunk in chunks), sum(len(chunk.text) for chunk in chunks)
        return EncodedChunk(ids, documents, sum(map(len, texts)), size)

    def to_array(self, begins: list[bool], texts: list[str]) -> np.ndarray:
        """Return the ids of all texts one after the other, with the separator before those that begin a document."""
        if isinstance(self.tokenizer, CharTokenizer):
            between = self.tokenizer.decode(self.separator)
            joined = "".join([between * first + text for first, text in zip(begins, texts, strict=True)])
            return encode_characters(joined, self.tokenizer, self.type)
        ids: list[int] = []
        for first, text in zip(begins, texts, strict=True):
            ids += self.separator * first
            ids += self.tokenizer.encode(text)
        return np.array(ids, self.type)


def decode(chunk: Chunk) -> str:
    """Return a chunk's text.

    Raises:
        UserError: it is not UTF-8; the first wrong byte of the file is named.
    """
    try:
        return chunk.text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise utf8_error(chunk.file, chunk.offset + error.start) from None


def collect_characters(documents: Documents) -> str:
    """Return all characters of some documents in code point order, and a line end if it has to separate any.

    Raises:
        UserError: the documents cannot be read.
    """
    seen: np.ndarray = np.zeros(0x110000, dtype=bool)
    begun: Counter[str] = Counter()
    for batch in documents.batches(ReadPosition(), can_split=True):
        begun.update(chunk.part for chunk in batch.chunks if chunk.begins)
        seen[code_points("".join(map(decode, batch.chunks)))] = True
    seen[ord("\n")] |= any(number > 1 for number in begun.values())
    return "".join(map(chr, np.flatnonzero(seen)))


def separator_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the ids that stand between two documents: <|endoftext|>, otherwise a line end, otherwise nothing."""
    if isinstance(tokenizer, CharTokenizer):
        return tokenizer.encode("\n") if "\n" in tokenizer.characters else []
    return (
        [tokenizer.special_tokens[END_OF_TEXT]] if END_OF_TEXT in tokenizer.special_tokens else tokenizer.encode("\n")
    )


def can_split(tokenizer: Tokenizer) -> bool:
    """Return whether a text that is cut at `last_split_point` has the same ids as in one piece."""
    if any(character.isspace() for text in getattr(tokenizer, "added", ()) for character in text):
        return False
    return isinstance(tokenizer, CharTokenizer) or getattr(tokenizer, "pattern", None) == GPT2_SPLIT_PATTERN


PROGRESS_FILE = "progress.json"


_READABLE = {
    "files": "texts",
    "separator": "separator",
    "val_fraction": "validation share",
    "tokenizer": "tokenizer",
    "shard_tokens": "number of tokens a shard",
}


def _write_progress(folder: Path, noted: dict[str, Any]) -> None:
    """Note how far the work has come, with a checksum, in one step."""
    atomic_write_text(folder / PROGRESS_FILE, json.dumps(noted | {"sha256": _digest(noted)}, indent=1) + "\n")


def _read_progress(folder: Path) -> dict[str, Any]:
    """Return what was noted last, and clear away a note in whose midst a run was killed.

    Raises:
        UserError: the note is damaged.
    """
    path = folder / PROGRESS_FILE
    noted = read_json(path)
    whole = noted.pop("sha256", None) == _digest(noted)
    if not whole:
        raise UserError(f"{path} is damaged; delete {folder} and begin again.")
    temp_path(path).unlink(missing_ok=True)
    return noted


def _clear_progress(folder: Path) -> None:
    """Clear away what was noted of work that is done; where nothing can be written, it may stay."""
    for path in (folder / PROGRESS_FILE, temp_path(folder / PROGRESS_FILE)):
        with suppress(OSError):
            path.unlink()


def _digest(noted: dict[str, Any]) -> str:
    """Return a checksum of what is noted."""
    return hashlib.sha256(json.dumps(noted).encode("utf-8")).hexdigest()


def check_same(folder: Path, request: dict[str, Any], earlier: dict[str, Any]) -> None:
    """Raise `UserError` if a folder was begun with another request."""
    for name, value in request.items():
        if earlier.get(name) != value:
            raise UserError(f"{folder} was begun with another {_READABLE[name]}; use the same, or choose a new folder.")


def _check_free(folder: Path) -> None:
    """Raise `UserError` if a folder holds anything that a run does not leave there before its first note."""
    ours = {LOCK_FILE, TOKENIZER_FILE, temp_path(folder / TOKENIZER_FILE).name, temp_path(folder / PROGRESS_FILE).name}
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    foreign = min(found - ours, default=None)
    if foreign is not None:
        raise UserError(f"{folder} holds other files already, such as {foreign}; choose a new folder.")


WRITE_BLOCK = 2**20


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

    def append(self, encoded: EncodedChunk) -> None:
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
        largest = _largest_id(self.path, self.type)
        self.shards.append(
            {"file": self.path.name, "tokens": self.open_tokens, "largest": largest, "sha256": sha256_file(self.path)}
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
            if not path.is_file() or path.stat().st_size < tokens * self.type.itemsize:
                raise UserError(
                    f"{path} is not what the interrupted run left there; delete {self.folder} and begin again."
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


def _largest_id(path: Path, type: np.dtype) -> int:
    """Return the largest id in a file, which is read block by block."""
    largest = 0
    with path.open("rb") as file:
        while block := file.read(WRITE_BLOCK):
            largest = max(largest, int(np.frombuffer(block, type).max()))
    return largest


QUEUE_AHEAD = 3  # batches for each process that are under way or wait to be written


def encode_batches(
    batches: Iterable[Batch], tokenizer: Tokenizer, workers: int
) -> Iterator[tuple[ReadPosition, dict[str, EncodedChunk]]]:
    """Yield the ids of each batch and the place after it; with more than one worker, each is a process of its own.

    Raises:
        UserError: a batch cannot be encoded, or a worker was ended.
    """
    if workers == 1:
        encode = Encoder(tokenizer)
        for batch in batches:
            yield batch.after, encode(batch.chunks)
        return
    begin = (_init_worker, (tokenizer.to_dict(),))
    pool = ProcessPoolExecutor(workers, _start_method(), *begin)
    waiting: deque[tuple[ReadPosition, Future]] = deque()
    try:
        for batch in batches:
            waiting.append((batch.after, pool.submit(_encode, batch.chunks)))
            if len(waiting) >= QUEUE_AHEAD * workers:
                place, future = waiting.popleft()
                yield place, future.result()
        for place, future in waiting:
            yield place, future.result()
    except BrokenProcessPool:
        raise UserError("A worker was ended, perhaps for want of memory; try again with fewer workers.") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_method() -> BaseContext:
    """Return the way to begin workers: as copies of one fresh process with this module, or each afresh on Windows.

    So the workers share the memory that the imports take, and nothing of the process that wants them.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    method = multiprocessing.get_context("forkserver")
    method.set_forkserver_preload([__name__])
    return method


_encoder: Encoder  # of a worker's own


def _init_worker(tokenizer: dict[str, Any]) -> None:
    """Prepare a worker: it has its own encoder, leaves Ctrl-C to its parent, and does not outlive it."""
    global _encoder
    _encoder = Encoder(TOKENIZERS[tokenizer["kind"]].from_dict(tokenizer))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _encode(chunks: list[Chunk]) -> dict[str, EncodedChunk]:
    """Encode chunks in a worker."""
    return _encoder(chunks)


def _exit_with_parent() -> None:
    """Wait for the end of the process that began this one, and end this one, too."""
    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


SHARD_TOKENS = 100_000_000


PROGRESS_EVERY = 64_000_000  # bytes of text between two notes of the progress


def prepare_shards(
    documents: Documents,
    tokenizer: Tokenizer,
    folder: Path | str,
    *,
    shard_tokens: int = SHARD_TOKENS,
    workers: int = 1,
    progress_every: int = PROGRESS_EVERY,
    progress: bool = False,
    stopped: Callable[[], object] = lambda: None,
) -> ShardedDataset | None:
    """Encode documents into a folder of shards, or go on with it; a finished folder is only opened.

    The shards are the same for any number of `workers`, each a process of its own, and however often the run was
    interrupted. The progress is noted after every `progress_every` bytes of text. When `stopped`, asked after every
    batch, returns something true, the progress is noted and the folder left unfinished: None is returned.

    Raises:
        UserError: the folder holds something else, the texts cannot be read or encoded, or the disk is full.
    """
    for name, size in (("shard_tokens", shard_tokens), ("workers", workers)):
        if size <= 0:
            raise UserError(f"{name} = {size} must be at least 1.")
    folder = Path(folder)
    request = documents.describe() | {"tokenizer": tokenizer_sha256(tokenizer), "shard_tokens": shard_tokens}
    if (folder / MANIFEST).exists():
        check_same(folder, request, read_manifest(folder)["made_from"])
        _clear_progress(folder)
        return open_shards(folder)
    if not (folder / PROGRESS_FILE).exists():
        _check_free(folder)
    try:
        with exclusive_lock(folder, "preparing"):
            builder = ShardBuilder(documents, tokenizer, folder, request)
            finished = builder.run(workers, progress_every, progress, stopped)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); make room or choose another place, and run the same "
            "command again: it goes on where it stopped."
        ) from None
    return open_shards(folder) if finished else None


class ShardBuilder:
    """A folder that is being filled with shards, and how far that has come."""

    def __init__(self, documents: Documents, tokenizer: Tokenizer, folder: Path, request: dict[str, Any]) -> None:
        self.documents = documents
        self.tokenizer = tokenizer
        self.folder = folder
        self.request = request
        self.files = documents.fingerprints()
        self.place = ReadPosition()
        self.wrote_tokenizer = not (folder / PROGRESS_FILE).exists()
        self.type = token_dtype(tokenizer.vocab_size)
        separator = len(separator_ids(tokenizer))
        self.writers = {
            part: ShardWriter(folder, part, self.type, request["shard_tokens"], separator)
            for part in (TRAIN, VALIDATION)
        }
        if (folder / PROGRESS_FILE).exists():
            self.resume()
        else:
            self.begin()

    def begin(self) -> None:
        """Put the tokenizer into the folder and note that nothing is done yet."""
        place = self.folder / TOKENIZER_FILE
        if place.exists():
            self.wrote_tokenizer = False
            same = load_tokenizer(place).to_dict() == self.tokenizer.to_dict()
            if not same:
                raise UserError(f"{place} is another tokenizer; use that one, or choose a new folder.")
        self.tokenizer.save(place)
        self.save_progress()

    def resume(self) -> None:
        """Go back to where the progress was saved last."""
        progress = _read_progress(self.folder)
        check_same(self.folder, self.request, progress["made_from"])
        for file, now, then in zip(self.request["files"], self.files, progress["read"], strict=True):
            if now != then:
                raise UserError(
                    f"{file['name']} was changed since {self.folder} was begun; choose a new folder for it."
                )
        for part, writer in self.writers.items():
            writer.resume(progress["parts"][part])
        self.place = ReadPosition(*progress["place"])

    def save_progress(self) -> None:
        """Note how far the work has come, after making sure that so much is on the disk."""
        for writer in self.writers.values():
            writer.flush()
        states = {part: writer.state() for part, writer in self.writers.items()}
        progress = {"made_from": self.request, "read": self.files, "place": self.place, "parts": states}
        _write_progress(self.folder, progress)

    def run(self, workers: int, progress_every: int, progress: bool, stopped: Callable[[], object]) -> bool:
        """Encode and write what is left, then the manifest; return whether it came to that."""
        batches = self.documents.batches(self.place, can_split(self.tokenizer))
        unsaved = 0
        try:
            done = sum(writer.counts["bytes"] for writer in self.writers.values())
            total = self.documents.n_bytes
            with tqdm(total=total, initial=done, unit="B", unit_scale=True, disable=not progress) as bar:
                for place, encoded in encode_batches(batches, self.tokenizer, workers):
                    for part, each in encoded.items():
                        self.writers[part].append(each)
                    self.place = place
                    size = sum(each.bytes for each in encoded.values())
                    bar.update(size)
                    unsaved += size
                    end = stopped()
                    if end or unsaved >= progress_every:
                        self.save_progress()
                        unsaved = 0
                    if end:
                        return False
            for writer in self.writers.values():
                writer.finish_shard()
        finally:
            for writer in self.writers.values():
                writer.close()
        self.finish()
        return True

    def discard(self) -> None:
        """Take back what was written, so that the folder is free for another request."""
        for writer in self.writers.values():
            for shard in writer.shards:
                (self.folder / shard["file"]).unlink(missing_ok=True)
        if self.wrote_tokenizer:
            (self.folder / TOKENIZER_FILE).unlink(missing_ok=True)
        _clear_progress(self.folder)

    def finish(self) -> None:
        """Write the manifest, which makes the folder one that can be opened."""
        found = {part: writer.counts for part, writer in self.writers.items()}
        n_documents = [counts["documents"] for counts in found.values()]
        if min(n_documents) <= 0:
            self.discard()
            raise UserError(
                f"Of {pluralize(sum(n_documents), 'document')} one part gets none; name a separator or "
                "another share to "
                "hold out, or files for validation."
            )
        parts: dict[str, dict[str, Any]] = {
            part: {"tokens": writer.n_tokens, **writer.counts, "shards": writer.shards}
            for part, writer in self.writers.items()
        }
        manifest = {
            "format": SHARD_FORMAT,
            "type": self.type.str,
            "vocab_size": self.tokenizer.vocab_size,
            "tokenizer": self.request["tokenizer"],
            "between_documents": self.tokenizer.decode(separator_ids(self.tokenizer)),
            "parts": parts,
            "made_from": self.request,
        }
        text = json.dumps(manifest, indent=1) + "\n"
        sums = {shard["file"]: shard["sha256"] for part in parts.values() for shard in part["shards"]}
        sums |= {
            TOKENIZER_FILE: sha256_file(self.folder / TOKENIZER_FILE),
            MANIFEST: hashlib.sha256(text.encode()).hexdigest(),
        }
        atomic_write_text(self.folder / CHECKSUMS, format_checksums(sums))
        atomic_write_text(self.folder / MANIFEST, text)
        _clear_progress(self.folder)
