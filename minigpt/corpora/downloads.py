"""Files fetched once into the user's cache folder, checked, and continued where a connection broke off.

What speaks to the network is imported only where something is fetched, since that takes a while.
"""

import os
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minigpt.checksums import checksum
from minigpt.config import require
from minigpt.errors import UserError, reading

CHUNK = 1_000_000
SHOWN = 20_000_000  # bytes from which on a download shows how far it is
PATIENCE = 30  # seconds without a word from the server


def fetch(url: str, sha256: str, name: str) -> Path:
    """Return a file from the folder named by `MINIGPT_DATA` if it is there, otherwise download it once.

    Raises:
        UserError: the file cannot be had, or has another checksum.
    """
    folder = os.environ.get("MINIGPT_DATA")
    path = Path(folder) / name if folder else None
    if path is None or not path.exists():
        return download(url, sha256, name)
    with reading(path):
        found = checksum(path)
    require(
        found == sha256, f"{path} has the checksum {found[:12]}…, not {sha256[:12]}…; delete the file and try again."
    )
    return path


def download(url: str, sha256: str, name: str) -> Path:
    """Fetch a file once into the user's cache folder and check it; what came before a failure is kept for next time.

    Raises:
        UserError: there is no network, the cache folder cannot be written, or the checksum is another.
    """
    import pooch

    folder = pooch.os_cache("minigpt")
    continued = ContinuedDownload(Path(folder) / f".{name}.part")
    try:
        return Path(pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=folder, downloader=continued))
    except OSError as error:  # first, since some of requests' errors are both
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"{name} could not be downloaded ({reason}); connect to the internet, "
            "or put the file in a folder and name that folder in MINIGPT_DATA."
        ) from None
    except ValueError:
        raise UserError(f"The download of {name} has another checksum than {sha256[:12]}…; try again later.") from None


class ContinuedDownload:
    """A downloader for `pooch` that asks only for what is missing of a file, as often as that brings some more."""

    def __init__(self, part: Path) -> None:
        self.part = part

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Fetch the file at an address to where pooch wants it."""
        import requests

        while True:
            before = self.size
            try:
                self.fetch_rest(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if self.size == before:
                    raise
        self.part.replace(output_file)

    @property
    def size(self) -> int:
        """How many bytes there are already."""
        return self.part.stat().st_size if self.part.exists() else 0

    def fetch_rest(self, url: str) -> None:
        """Ask for the bytes from the present end on, and add them; a server that cannot do so sends them all again."""
        import requests

        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={self.size}-"} if self.size else {})
        with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # there is nothing left to fetch, and pooch checks what there is
            response.raise_for_status()
            continued = response.status_code == requests.codes.partial_content
            there = self.size if continued else 0
            total = there + int(response.headers.get("Content-Length", 0))
            bar = tqdm(total=total, initial=there, unit="B", unit_scale=True, disable=total < SHOWN, leave=False)
            with bar, self.part.open("ab" if continued else "wb") as file:
                for chunk in response.iter_content(CHUNK):
                    bar.update(file.write(chunk))
