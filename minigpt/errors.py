"""The one exception that speaks to the user."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """A mistake the user can mend: its message is one sentence that names the value and the remedy."""


@contextmanager
def named(source: object) -> Iterator[None]:
    """Put a name, such as a file's, before the message of a `UserError` raised in the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
