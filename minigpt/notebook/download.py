"""What a notebook made, handed to its reader: a download in Colab, whose disk is cleared; elsewhere, where it lies."""

import importlib
import shutil
import sys
from pathlib import Path

from minigpt.utils.errors import UserError


def offer_download(path: Path | str) -> None:
    """Let the browser save a file, or a folder as a zip, where the notebook runs in Colab; elsewhere say where it lies.

    Raises:
        UserError: there is nothing at this path.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist, so it cannot be offered; check the path, or save first.")
    if "google.colab" not in sys.modules:
        print(f"It lies in {path.resolve()}.")
        return
    file = _zipped(path) if path.is_dir() else path
    importlib.import_module("google.colab.files").download(str(file))


def _zipped(folder: Path) -> Path:
    """Pack a folder into a zip beside it, in which everything stands in a folder of the same name."""
    place = folder.resolve()
    return Path(shutil.make_archive(str(place), "zip", place.parent, place.name))
