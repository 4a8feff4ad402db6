"""A configuration as JSON values: to a dictionary, from a dictionary, and checked field by field."""

from dataclasses import MISSING, asdict, dataclass, fields
from difflib import get_close_matches
from reprlib import repr as brief
from typing import Any, Self

from minigpt.errors import UserError, named, require


@dataclass(frozen=True)
class JsonConfig:
    """What all configurations share: to a dictionary, from a dictionary, and a changed copy."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any, source: str = "The configuration") -> Self:
        """Build a configuration from JSON values; `source` names the file in error messages.

        Raises:
            UserError: a field is unknown, missing, of another type, or out of range.
        """
        require(
            isinstance(values, dict), f"{source} holds {brief(values)} where a JSON object should be; save it again."
        )
        known = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            close = get_close_matches(unknown[0], known, n=1)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            raise UserError(f"{source} has no field {unknown[0]!r}{meant}; the fields are {', '.join(known)}.")
        missing = [field.name for field in fields(cls) if field.default is MISSING and field.name not in values]
        require(not missing, f"{source} lacks the field {', '.join(missing)}; add it and try again.")
        with named(source):
            return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like any other configuration."""
        return self.from_dict(self.to_dict() | changes)

    def check_types(self) -> None:
        """Raise `UserError` unless every field is of its type."""
        for field in fields(self):
            check_type(field.name, field.type, getattr(self, field.name))


def check_type(name: str, expected: Any, value: Any) -> None:
    """Raise `UserError` unless `value` is of the field's type; an int may stand for a float."""
    if expected in (int | None, float | None) and value is None:
        fits = True
    elif expected in (float, float | None):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif expected in (int, int | None):
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, expected)
    readable = getattr(expected, "__name__", str(expected))
    require(fits, f"{name} = {brief(value)} must be of type {readable}.")
    small = not isinstance(value, int) or abs(value) <= 2**64
    require(small, f"{name} = {brief(value)} has more digits than a computer reckons with; choose a smaller number.")
