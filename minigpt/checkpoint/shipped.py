"""The shipped models by name: `tiny` is the folder `checkpoints/tiny`, wherever the package is used.

An installed package brings the folders along, and so does a checkout; where neither does, a model is fetched once.
"""

import os
from importlib import metadata
from pathlib import Path

from minigpt.data.download import download
from minigpt.utils.errors import UserError, error_prefix
from minigpt.utils.files import CHECKSUM_FILE, last_complete
from minigpt.utils.machine import asset_path

DISTRIBUTION = "minigpt-book"
FOLDER = "checkpoints"


# The checksum of each model's SHA256SUMS, which holds those of its other files.
SHIPPED_MODELS = {
    "tiny": "8da2f46e819b9dd85e482efec884db8d31f0987100a304cdcba7efa23fd39ad5",
    "medium": "d256c2bc303e23cca8c60ea3de2a55d964ab66ee766dd282f1f8fa16d8fb2057",
    "plays-bpe": "9ed2cd22d715d2fde2da59ffe4d79bc38bb73eb26b16122b3c94ff069bfb328e",
}


def locate_shipped(place: Path | str) -> Path:
    """Return the folder of a shipped model where a place is its name; any other place, and any that exists, as it is.

    Raises:
        UserError: the model did not come with this installation and could not be fetched, or `checkpoints/NAME` is
            asked for where there is no such folder.
    """
    path = Path(place)
    if path.name not in SHIPPED_MODELS or path.exists() or last_complete(path).exists():  # it may be replaced right now
        return path
    if path == Path(path.name):
        return _shipped_folder(path.name)
    if path.parent.name == FOLDER:
        raise UserError(
            f"{path} does not exist; the model of that name that comes with minigpt is `--checkpoint {path.name}`, or "
            f'load("{path.name}") in Python.'
        )
    return path


def _shipped_folder(name: str) -> Path:
    """Return the folder of a shipped model: the installation's, one in the folder `MINIGPT_DATA`, or the cache's."""
    try:
        return asset_path(f"{FOLDER}/{name}")
    except UserError:
        pass
    data = os.environ.get("MINIGPT_DATA")
    if data and (Path(data) / FOLDER / name).is_dir():
        return Path(data) / FOLDER / name
    with error_prefix(f"The model {name}, which did not come with this installation"):
        return _fetch_model(name)


def _fetch_model(name: str) -> Path:
    """Return the folder of the cache to which the files of a shipped model have been downloaded."""
    source = f"{_repository()}/raw/HEAD/{FOLDER}/{name}"
    sums = download(f"{source}/{CHECKSUM_FILE}", SHIPPED_MODELS[name], f"{FOLDER}/{name}/{CHECKSUM_FILE}")
    for line in sums.read_text("utf-8").splitlines():
        sha256, file = line.split(maxsplit=1)
        download(f"{source}/{file}", sha256, f"{FOLDER}/{name}/{file}")
    return sums.parent


def _repository() -> str:
    """Return the address of the package's repository, as the installed distribution names it.

    Raises:
        UserError: the package runs without having been installed.
    """
    try:
        links = metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        links = []
    found = [address for kind, _, address in (link.partition(", ") for link in links) if kind == "Repository"]
    if not found:
        raise UserError(
            f"the package {DISTRIBUTION} is not installed and so does not say where to fetch it; install the package."
        )
    return found[0]
