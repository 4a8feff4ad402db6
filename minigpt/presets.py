"""The named configurations that ship with the book, one JSON file each in `minigpt/presets/`, and the reader's own."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from minigpt.config import GPTConfig, TrainConfig
from minigpt.errors import UserError
from minigpt.preset_file import Preset, read_preset

FOLDER = Path(str(files("minigpt"))) / "presets"


def preset_names() -> list[str]:
    """Return the names of all presets that ship with the book, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def preset(name: str | Path, **changes: Any) -> GPTConfig:
    """Return the architecture of a preset, with any fields changed by keyword.

    A name that ends in `.json` is the path of a file of your own.

    Raises:
        UserError: there is no such preset (the valid names are listed), the file has a mistake (its line is named),
            or a change is invalid.
    """
    return whole_preset(name).model.replace(**changes)


def training_preset(name: str | Path, **changes: Any) -> TrainConfig:
    """Return the training settings that a preset recommends, with any fields changed by keyword."""
    return whole_preset(name).training.replace(**changes)


def whole_preset(name: str | Path) -> Preset:
    """Return everything that a preset holds; see `preset`."""
    if is_file(name):
        return read_preset(Path(name))
    names = preset_names()
    if name not in names:
        close = [f"{name}.json"] if Path(f"{name}.json").is_file() else get_close_matches(str(name), names, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(f"There is no preset {str(name)!r}{meant}; the presets are {', '.join(names)}.")
    return read_preset(FOLDER / f"{name}.json")


def is_file(name: str | Path) -> bool:
    """Return whether this is the path of a reader's own preset, and no name."""
    return str(name).lower().endswith(".json")
