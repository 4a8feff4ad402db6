"""Files fetched once into the user's cache folder, checked, and continued where a connection broke off.

What speaks to the network is imported only where something is fetched, since that takes a while.
"""

import os
from pathlib import Path

from tqdm import tqdm

from minigpt.checksums import checksum
from minigpt.config import require
from minigpt.errors import UserError, reading
from minigpt.files import flush
from minigpt.taking_turns import alone_at

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
        UserError: there is no network, the cache folder cannot be written, another process is fetching the file, or the
            checksum is another.
    """
    import pooch

    path = Path(pooch.os_cache("minigpt")) / name
    part = path.with_name(f".{name}.part")
    try:
        if path.is_file() and checksum(path) == sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone_at(part, f"downloading {name}"):
            fetch_all(url, part)
            if checksum(part) != sha256:
                part.unlink()
                raise UserError(f"The download of {name} has another checksum than {sha256[:12]}…; try again later.")
            flush(part)
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
            return fetch_rest(url, part)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if part.stat().st_size == before:
                raise


def fetch_rest(url: str, part: Path) -> None:
    """Ask for the bytes from the present end on, and add them; a server that cannot do so sends them all again."""
    import requests

    size = part.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # there is nothing left to fetch, and what there is will be checked
        response.raise_for_status()
        continued = response.status_code == requests.codes.partial_content
        there = size if continued else 0
        total = there + int(response.headers.get("Content-Length", 0))
        bar = tqdm(total=total, initial=there, unit="B", unit_scale=True, disable=total < SHOWN, leave=False)
        with bar, part.open("ab" if continued else "wb") as file:
            for chunk in response.iter_content(CHUNK):
                bar.update(file.write(chunk))
