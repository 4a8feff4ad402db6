"""The one exception for mistakes of the user's, and what builds its sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


class UserError(ValueError):
    """A mistake the user can mend: its message is one sentence that names the value and the remedy."""


def not_none(value: Value | None, message: str) -> Value:
    """Return a value that must not be None; where it is, raise `UserError(message)`."""
    if value is None:
        raise UserError(message)
    return value


@contextmanager
def error_prefix(source: object) -> Iterator[None]:
    """Put a name, such as a file's, before the message of a `UserError` raised in the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that is missing or cannot be read into a `UserError`."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); choose a text file of your own.") from None


def utf8_error(name: object, place: int) -> UserError:
    """Return what to tell of a file that is not UTF-8, in which the first wrong byte stands at this place."""
    return UserError(f"{name} is not UTF-8 text (byte {place} cannot be read); convert it to UTF-8 first.")
