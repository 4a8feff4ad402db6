"""In which line of a JSON file a field stands, so that a message about the field can say so."""

import json
from pathlib import Path

from minigpt.utils.errors import UserError


def field_lines(text: str, path: Path) -> dict[tuple[str, ...], int]:
    """Return the line of each field of a valid JSON object, and of each field one level inside: ("model", "n_head").

    Raises:
        UserError: a field is defined twice.
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
            if (*outer, name) in lines:
                raise UserError(f"{path}, line {line}: {name!r} is defined twice; keep one of them.")
            lines[*outer, name] = line
            value = skip(skip(colon) + 1)
            inside = text[value] == "{" and not outer
            place = skip(walk(value, (name,)) if inside else decoder.raw_decode(text, value)[1])
            place = skip(place + 1) if text[place] == "," else place
        return place + 1

    walk(skip(0), ())
    return lines
