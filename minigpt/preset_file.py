"""A preset as a file: an architecture and the training that suits it, read with every mistake at its line."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from minigpt.config import GPTConfig, JsonConfig, TrainConfig, read_json, require
from minigpt.errors import UserError
from minigpt.model import require_components

SECTIONS: dict[str, type[GPTConfig] | type[TrainConfig]] = {"model": GPTConfig, "training": TrainConfig}
EXAMPLE = "`minigpt presets tiny_char --json` shows a whole one"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a preset holds: the architecture, the recommended training, and a sentence about both."""

    model: GPTConfig
    training: TrainConfig = field(default_factory=TrainConfig)
    description: str = ""

    def to_json(self) -> str:
        """Return the text of a preset file in which every field is written out."""
        values = {
            "description": self.description,
            "model": self.model.to_dict(),
            "training": self.training.to_dict(),
        }
        return json.dumps(values, indent=2, ensure_ascii=False)


def read_preset(path: Path) -> Preset:
    """Read a preset file; only "model" must be there.

    Raises:
        UserError: the file is not JSON, or a field is unknown, missing, of another type or out of range;
            the sentence names the file, the line, the value and the remedy.
    """
    values = read_json(path)
    lines = field_lines(path.read_text(encoding="utf-8-sig"), path)
    for name in values:
        require(name in ("description", *SECTIONS), f"{path}, line {lines[name,]}: {misplaced(name)}")
    require("model" in values, f'{path} has no "model", the object that holds the sizes; {EXAMPLE}.')
    description = values.get("description", "")
    require(
        isinstance(description, str),
        f"{path}, line {lines.get(('description',), 1)}: description = {description!r} must be a text in quotes.",
    )
    given = [name for name in SECTIONS if name in values]
    sections: dict[str, Any] = {name: read_section(name, values[name], lines, path) for name in given}
    with at_line(path, lines, "model"):
        require_components(sections["model"])
    return Preset(description=description, **sections)


def read_section(name: str, values: Any, lines: dict[tuple[str, ...], int], path: Path) -> JsonConfig:
    """Return the configuration that one section of a preset file describes."""
    with at_line(path, lines, name):
        return SECTIONS[name].from_dict(values, f'"{name}"')


def misplaced(name: str) -> str:
    """Say what to do with a field that stands outside the sections but should not."""
    for section, kind in SECTIONS.items():
        if name in [each.name for each in fields(kind)]:
            return f'{name!r} stands outside; move it into "{section}".'
    close = get_close_matches(name, ["description", *SECTIONS], n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    return f"a preset has no {name!r}{meant}; it has description, model and training."


@contextmanager
def at_line(path: Path, lines: dict[tuple[str, ...], int], section: str) -> Iterator[None]:
    """Put the file before a `UserError`, and the line of the first field of the section that it names."""
    try:
        yield
    except UserError as error:
        words = re.findall(r"\w+", str(error))
        places = [lines[section, word] for word in words if (section, word) in lines]
        raise UserError(f"{path}, line {places[0] if places else lines[section,]}: {error}") from None


def field_lines(text: str, path: Path) -> dict[tuple[str, ...], int]:
    """Return the line of each field of a valid JSON object, and of each field one level inside: ("model", "n_head").

    Raises:
        UserError: a field stands there twice.
    """
    lines: dict[tuple[str, ...], int] = {}
    decoder = json.JSONDecoder()

    def skip(place: int) -> int:
        """Return the next place that is not white space."""
        while text[place] in " \t\r\n":
            place += 1
        return place

    def walk(place: int, outer: tuple[str, ...]) -> int:
        """Note the fields of the object that begins at `place`, and return where it ends."""
        place = skip(place + 1)
        while text[place] != "}":
            name, colon = decoder.raw_decode(text, place)
            line = text.count("\n", 0, place) + 1
            require((*outer, name) not in lines, f"{path}, line {line}: {name!r} stands there twice; keep one of them.")
            lines[*outer, name] = line
            value = skip(skip(colon) + 1)
            inside = text[value] == "{" and not outer
            place = skip(walk(value, (name,)) if inside else decoder.raw_decode(text, value)[1])
            place = skip(place + 1) if text[place] == "," else place
        return place + 1

    walk(skip(0), ())
    return lines
