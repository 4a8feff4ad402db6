"""Downloads: in Colab the browser saves the file; here its name is written down."""

from pathlib import Path


def download(filename: str) -> None:
    """Note that a file was offered, and how large it is."""
    path = Path(filename)
    if not path.exists():
        raise FileNotFoundError(f"Cannot find file: {filename}")
    with (Path.home() / "downloads.txt").open("a", encoding="utf-8") as notes:
        notes.write(f"{path.name}\n")
