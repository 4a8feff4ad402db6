"""The named configurations that ship with the book, one JSON file each in `minigpt/presets/`."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from minigpt.config import GPTConfig, TrainConfig, read_json
from minigpt.errors import UserError

FOLDER = Path(str(files("minigpt"))) / "presets"


def preset_names() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def preset(name: str, **changes: Any) -> GPTConfig:
    """Return the architecture of a preset, with any fields changed by keyword.

    Raises:
        UserError: there is no such preset (the valid names are listed), or a change is invalid.
    """
    return GPTConfig.from_dict(_read(name)["model"], f"preset {name!r}").replace(**changes)


def training_preset(name: str, **changes: Any) -> TrainConfig:
    """Return the training settings that a preset recommends, with any fields changed by keyword."""
    return TrainConfig.from_dict(_read(name)["training"], f"preset {name!r}").replace(**changes)


def describe_preset(name: str) -> str:
    """Return the one-sentence description of a preset."""
    return _read(name)["description"]


def _read(name: str) -> dict[str, Any]:
    names = preset_names()
    if name not in names:
        close = get_close_matches(name, names, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(f"There is no preset {name!r}{meant}; the presets are {', '.join(names)}.")
    return read_json(FOLDER / f"{name}.json")
