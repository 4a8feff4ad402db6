"""nanoGPT's `train.bin` and `val.bin` as token shards: ids of two bytes one after the other, and nothing else.

The files of llm.c are the same after a header of 1,024 bytes.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.data.documents import TRAIN, VALIDATION
from minigpt.data.prepare import SHARD_TOKENS, check_same, separator_ids
from minigpt.data.shards import (
    MANIFEST,
    SHARD_FORMAT,
    TOKENIZER_FILE,
    ShardedDataset,
    open_shards,
    read_manifest,
    token_dtype,
    tokenizer_sha256,
)
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError, file_errors
from minigpt.utils.files import CHECKSUM_FILE, atomic_directory, format_checksums, sha256_file

BIN_ENDING = ".bin"


_TWO_BYTES = np.dtype("<u2")


_HEADER_BYTES, _HEADER_MAGIC = 1024, 20240520  # of llm.c


def prepare_bins(
    train: Sequence[Path],
    validation: Sequence[Path],
    tokenizer: Tokenizer,
    folder: Path | str,
    *,
    val_fraction: float = 0.05,
    shard_tokens: int = SHARD_TOKENS,
) -> ShardedDataset:
    """Copy files of ids into a folder of shards, which `open_shards` reads; a finished folder is only opened.

    Without files for validation, the end of each file, `val_fraction` of its ids, is held out.

    Raises:
        UserError: a file is missing or damaged, an id is none of the tokenizer's, or the folder holds something else.
    """
    folder = Path(folder)
    if not 0 < val_fraction < 1:
        raise UserError(f"val_fraction = {val_fraction} must lie between 0 and 1.")
    spans = list(_spans(train, validation, val_fraction))
    request = {
        "files": [{"name": path.name, "part": part, "start": start, "stop": stop} for path, part, start, stop in spans],
        "separator": None,
        "val_fraction": val_fraction,
        "tokenizer": tokenizer_sha256(tokenizer),
        "shard_tokens": shard_tokens,
    }
    if (folder / MANIFEST).exists():
        check_same(folder, request, read_manifest(folder)["made_from"])
        return open_shards(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another name.")
    for path in {path: None for path, *_ in spans}:
        _check_ids(path, tokenizer)
    with atomic_directory(folder) as new:
        tokenizer.save(new / TOKENIZER_FILE)
        parts = {
            part: _copy_part(new, part, [each for each in spans if each[1] == part], tokenizer, shard_tokens)
            for part in (TRAIN, VALIDATION)
        }
        manifest = {
            "format": SHARD_FORMAT,
            "type": token_dtype(tokenizer.vocab_size).str,
            "vocab_size": tokenizer.vocab_size,
            "tokenizer": request["tokenizer"],
            "between_documents": tokenizer.decode(separator_ids(tokenizer)),
            "parts": parts,
            "made_from": request,
        }
        text = json.dumps(manifest, indent=1) + "\n"
        sums = {shard["file"]: shard["sha256"] for part in parts.values() for shard in part["shards"]}
        sums |= {
            TOKENIZER_FILE: sha256_file(new / TOKENIZER_FILE),
            MANIFEST: hashlib.sha256(text.encode()).hexdigest(),
        }
        (new / CHECKSUM_FILE).write_text(format_checksums(sums), encoding="utf-8", newline="\n")
        (new / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
    return open_shards(folder)


Span = tuple[Path, str, int, int]  # a file, the part that its ids belong to, and from which id to which


def _spans(train: Sequence[Path], validation: Sequence[Path], val_fraction: float) -> Iterator[Span]:
    """Yield what is read of each file."""
    for path in train:
        size = len(_open_bin(path))
        border = size if validation else size - round(size * val_fraction)
        yield path, TRAIN, 0, border
        if not validation:
            yield path, VALIDATION, border, size
    for path in validation:
        yield path, VALIDATION, 0, len(_open_bin(path))


def _open_bin(path: Path) -> np.ndarray:
    """Map the ids of a file into memory: (N,).

    Raises:
        UserError: the file is missing, empty, or holds no ids of two bytes.
    """
    with file_errors(path):
        size = path.stat().st_size
        with path.open("rb") as file:
            beginning = file.read(12)
    header = np.frombuffer(beginning, "<i4") if len(beginning) == 12 else np.empty(0, "<i4")
    offset = _HEADER_BYTES if len(header) and header[0] == _HEADER_MAGIC and size >= _HEADER_BYTES else 0
    if size <= offset or (size - offset) % _TWO_BYTES.itemsize != 0:
        raise UserError(f"{path} has {size:,} bytes, which are no ids of two bytes each; copy it again.")
    return np.memmap(path, _TWO_BYTES, "r", offset)


def _check_ids(path: Path, tokenizer: Tokenizer) -> None:
    """Raise `UserError` if a file holds an id that is none of the tokenizer's."""
    largest = max(int(block.max()) for block in _blocks(_open_bin(path), 0, None))
    if largest >= tokenizer.vocab_size:
        raise UserError(
            f"{path} holds the id {largest}, and {tokenizer} has none above {tokenizer.vocab_size - 1}; name the "
            "tokenizer that the file was made with."
        )


_BLOCK = 2**22  # ids that are in memory at once


def _blocks(ids: np.ndarray, start: int, stop: int | None) -> Iterator[np.ndarray]:
    """Yield a span of ids, some at a time."""
    end = len(ids) if stop is None else stop
    for begin in range(start, end, _BLOCK):
        yield np.asarray(ids[begin : min(begin + _BLOCK, end)])


def _copy_part(
    folder: Path, part: str, spans: Sequence[Span], tokenizer: Tokenizer, shard_tokens: int
) -> dict[str, Any]:
    """Write the ids of one part to files of `shard_tokens` each, and return what the manifest says of them."""
    type = token_dtype(tokenizer.vocab_size)
    separator = separator_ids(tokenizer)
    border = separator[0] if separator and separator[0] in tokenizer.special_tokens.values() else None
    lengths = _lengths(tokenizer, border)
    shards: list[dict[str, Any]] = []
    counts = {"documents": 0, "characters": 0, "bytes": 0}
    room, file = 0, None
    try:
        for path, _, start, stop in spans:
            ended = True
            for block in _blocks(_open_bin(path), start, stop):
                counts["documents"] += int((block == border).sum()) if border is not None else 0
                ended = bool(block[-1] == border)
                counts["characters"] += int(lengths[0][block].sum())
                counts["bytes"] += int(lengths[1][block].sum())
                while len(block) > 0:
                    if file is None:
                        name = f"{part}-{len(shards):05d}.bin"
                        shards.append({"file": name, "tokens": 0, "largest": 0})
                        file, room = (folder / name).open("wb"), shard_tokens
                    taken, block = block[:room], block[room:]
                    file.write(taken.astype(type).tobytes())
                    room -= len(taken)
                    shards[-1]["tokens"] += len(taken)
                    shards[-1]["largest"] = max(shards[-1]["largest"], int(taken.max()))
                    if room == 0:
                        file.close()
                        file = None
            counts["documents"] += not ended
    finally:
        if file is not None:
            file.close()
    for shard in shards:
        shard["sha256"] = sha256_file(folder / shard["file"])
    tokens = sum(shard["tokens"] for shard in shards)
    if tokens <= 0:
        raise UserError(f"There are no ids for the {part} part; name another share to hold out, or a file for it.")
    return {"tokens": tokens, **counts, "shards": shards}


def _lengths(tokenizer: Tokenizer, border: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the characters that begin in each token, and its bytes: (V,) each; what separates documents has none."""
    tokens = [b"" if id == border else tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
    characters = [sum(byte & 0xC0 != 0x80 for byte in token) for token in tokens]
    return np.array(characters, np.int64), np.array([len(token) for token in tokens], np.int64)
