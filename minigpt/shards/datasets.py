"""Published data sets that are fetched by address, each at a pinned revision, with its licence and its checksums."""

import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from minigpt.config import require
from minigpt.corpora.downloads import fetch
from minigpt.planning.units import size_text

HOST = "https://huggingface.co"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set: its path there, its size in bytes and its checksum."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The name under which it is kept."""
        return Path(self.path).name


@dataclass(frozen=True)
class Dataset:
    """A data set: where it is, who may use it how, and what stands between its documents (None: they are rows)."""

    name: str
    title: str
    repository: str
    revision: str
    licence: str
    licence_url: str
    train: tuple[RemoteFile, ...]
    validation: tuple[RemoteFile, ...] = ()
    separator: str | None = None

    @classmethod
    def from_dict(cls, name: str, values: dict[str, Any]) -> Self:
        """Build a data set from what `datasets.toml` holds of it."""
        parts = {part: tuple(RemoteFile(**file) for file in values.get(part, ())) for part in ("train", "validation")}
        return cls(name, **values | parts)

    def url(self, file: RemoteFile) -> str:
        """Return the address of a file; `HF_ENDPOINT` names a mirror of the host, if that is set."""
        host = os.environ.get("HF_ENDPOINT", HOST).rstrip("/")
        return f"{host}/datasets/{self.repository}/resolve/{self.revision}/{file.path}"

    def fetch(self, file: RemoteFile) -> Path:
        """Return a file of the data set, from `MINIGPT_DATA`, from the cache, or from the network.

        Raises:
            UserError: it cannot be had, or has another checksum.
        """
        return fetch(self.url(file), file.sha256, f"{self.name}-{file.name}")

    def describe(self, files: tuple[RemoteFile, ...]) -> str:
        """Return what the data set is, what of it is asked for, and its licence, in a few lines."""
        size = size_text(sum(file.size for file in files))
        all_files = len(self.train + self.validation)
        chosen = (
            f"{len(files)} of {all_files} files, {size}" if len(files) < all_files else f"{all_files} files, {size}"
        )
        return (
            f"{self.title}.\n"
            f"{HOST}/datasets/{self.repository}, revision {self.revision[:12]}: {chosen}.\n"
            f"Licence: {self.licence} ({self.licence_url})."
        )


@cache
def datasets() -> dict[str, Dataset]:
    """Return the data sets that are known here, by name."""
    listed = tomllib.loads((Path(__file__).parent / "datasets.toml").read_text(encoding="utf-8"))
    return {name: Dataset.from_dict(name, values) for name, values in listed.items()}


def find_dataset(name: str) -> Dataset:
    """Return a data set by name.

    Raises:
        UserError: there is none of that name.
    """
    require(name in datasets(), f"There is no data set {name!r}; the data sets are {', '.join(datasets())}.")
    return datasets()[name]
