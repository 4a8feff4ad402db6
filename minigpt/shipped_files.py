"""The files that come with the book: trained checkpoints and the records of real runs."""

from pathlib import Path

from minigpt.errors import UserError


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder, such as `checkpoints/tiny` or `runs/tiny-shakespeare.jsonl`.

    It is found inside an installed package, or beside the package in a checkout of the repository.

    Raises:
        UserError: nothing of that name is shipped.
    """
    package = Path(__file__).parent
    for place in (package / name, package.parent / name):
        if place.exists():
            return place
    raise UserError(f"Nothing named {name!r} is shipped with this minigpt; check the name, or install it again.")
