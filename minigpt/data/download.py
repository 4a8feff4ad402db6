"""Files fetched once into the user's cache folder, checked, and continued where a connection broke off.

The folder is pooch's. Its `retrieve` would begin anew after a broken connection, and a kill would leave its temporary
file in the cache for good; data sets have files of gigabytes, so these are fetched piece by piece into one named file.

What speaks to the network is imported only where something is fetched, since that takes a while.
"""

import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from minigpt.utils.errors import UserError, file_errors
from minigpt.utils.files import exclusive_file, fsync_path, sha256_file
from minigpt.utils.units import format_bytes

CHUNK_BYTES = 1_000_000


_SHOWN = 20_000_000  # bytes from which on a download shows how far it is


TIMEOUT = 30  # seconds without a word from the server


def fetch(url: str, sha256: str, name: str) -> Path:
    """Return a file from the folder named by `MINIGPT_DATA` if it is there, otherwise download it once.

    Raises:
        UserError: the file could not be downloaded, or has another checksum.
    """
    folder = os.environ.get("MINIGPT_DATA")
    path = Path(folder) / name if folder else None
    if path is None or not path.exists():
        return download(url, sha256, name)
    with file_errors(path):
        found = sha256_file(path)
    if found != sha256:
        raise UserError(f"{path} has the checksum {found[:12]}…, not {sha256[:12]}…; delete the file and try again.")
    return path


def download(url: str, sha256: str, name: str) -> Path:
    """Fetch a file once into the user's cache folder and check it; what came before a failure is kept for next time.

    A name may begin with folders, as in `checkpoints/tiny/config.json`.

    Raises:
        UserError: there is no network, the cache folder cannot be written, another process is fetching the file, or the
            checksum is another.
    """
    import pooch

    path = Path(pooch.os_cache("minigpt")) / name
    part = path.with_name(f".{path.name}.part")
    try:
        if path.is_file() and sha256_file(path) == sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_file(part, f"downloading {name}"):
            fetch_all(url, part)
            if sha256_file(part) != sha256:
                part.unlink()
                raise UserError(f"The download of {name} has another checksum than {sha256[:12]}…; try again later.")
            fsync_path(part)
            part.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"{name} could not be downloaded ({reason}); connect to the internet, "
            "or put the file in a folder and name that folder in MINIGPT_DATA."
        ) from None
    return path


def fetch_all(url: str, part: Path) -> None:
    """Ask for what is missing of a file, as often as that brings some more."""
    import requests

    while True:
        before = part.stat().st_size
        try:
            return _fetch_rest(url, part)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if part.stat().st_size == before:
                raise


def _fetch_rest(url: str, part: Path) -> None:
    """Ask for the bytes from the present end on, and add them; a server that cannot do so sends them all again."""
    import requests

    size = part.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # there is nothing left to fetch, and what there is will be checked
        response.raise_for_status()
        continued = response.status_code == requests.codes.partial_content
        there = size if continued else 0
        total = there + int(response.headers.get("Content-Length", 0))
        bar = tqdm(total=total, initial=there, unit="B", unit_scale=True, disable=total < _SHOWN, leave=False)
        with bar, part.open("ab" if continued else "wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                bar.update(file.write(chunk))


HUB_URL = "https://huggingface.co"


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
        host = os.environ.get("HF_ENDPOINT", HUB_URL).rstrip("/")
        return f"{host}/datasets/{self.repository}/resolve/{self.revision}/{file.path}"

    def fetch(self, file: RemoteFile) -> Path:
        """Return a file of the data set, from `MINIGPT_DATA`, from the cache, or from the network.

        Raises:
            UserError: it is not available, or has another checksum.
        """
        return fetch(self.url(file), file.sha256, f"{self.name}-{file.name}")

    def describe(self, files: tuple[RemoteFile, ...]) -> str:
        """Return what the data set is, what of it is asked for, and its licence, in a few lines."""
        size = format_bytes(sum(file.size for file in files))
        all_files = len(self.train + self.validation)
        chosen = (
            f"{len(files)} of {all_files} files, {size}" if len(files) < all_files else f"{all_files} files, {size}"
        )
        return (
            f"{self.title}.\n"
            f"{HUB_URL}/datasets/{self.repository}, revision {self.revision[:12]}: {chosen}.\n"
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
    if name not in datasets():
        raise UserError(f"There is no data set {name!r}; the data sets are {', '.join(datasets())}.")
    return datasets()[name]
