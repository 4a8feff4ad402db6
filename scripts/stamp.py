"""Write the repository's address and the measured times wherever the book shows them.

The address stands once, in `_config.yml`; the times stand in `results/chapters.json`. All else follows from them.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In these files every GitHub link is a link to this repository.
PAGES = (
    "_config.yml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "pyproject.toml",
    "book/intro.md",
    "book/how_to_read.md",
    "space/README.md",
    "space/requirements.txt",
    "minigpt/app/page.py",
)
TIERS = ("smoke", "cpu", "gpu")
SLUG = r"[\w-]+/[\w.-]*\w"
SETUP_COMMENT = "# On Colab this installs the book's package; anywhere else it does nothing."
COLAB_LINE = re.compile(r"^\[Open in Colab\]\(.*\)$", re.MULTILINE)
MEASURED_LINE = re.compile(r"^\*\*Measured:\*\*.*$", re.MULTILINE)
TABLE_ROW = re.compile(r"^(\| \[.*\]\(chapters/(\w+)\.ipynb\) \|[^|\n]*\|).*$", re.MULTILINE)

Measurements = dict[str, dict[str, dict]]


@dataclass(frozen=True)
class Address:
    """Where the repository lives, and every address that follows from that."""

    owner: str
    name: str

    @property
    def repository(self) -> str:
        """The repository's own page."""
        return f"https://github.com/{self.owner}/{self.name}"

    @property
    def book(self) -> str:
        """The published book."""
        return f"https://{self.owner.lower()}.github.io/{self.name}"

    @property
    def colab(self) -> str:
        """Where Colab opens files of this repository."""
        return f"https://colab.research.google.com/github/{self.owner}/{self.name}"

    @property
    def setup(self) -> str:
        """The source of the first code cell of every chapter."""
        install = f"    %pip install --quiet git+{self.repository}"
        return f'{SETUP_COMMENT}\nimport sys\n\nif "google.colab" in sys.modules:\n{install}'


def read_address(root: Path) -> Address:
    """Return the address that stands in `_config.yml`."""
    found = re.search(
        rf"^  url: https://github\.com/({SLUG})$", (root / "_config.yml").read_text("utf-8"), re.MULTILINE
    )
    if found is None:
        sys.exit("_config.yml names no repository; write `url: https://github.com/OWNER/NAME` under `repository`.")
    return Address(*found[1].split("/"))


def read_measurements(root: Path) -> Measurements:
    """Return what `make measure` recorded, by tier and chapter; nothing where it has not run yet."""
    record = root / "results" / "chapters.json"
    return json.loads(record.read_text("utf-8")) if record.exists() else {}


def notebook_paths(root: Path) -> list[Path]:
    """Return every chapter, every solution and every appendix, in reading order."""
    patterns = ("chapters/[0-9]*.ipynb", "chapters/solutions/[0-9]*.ipynb", "chapters/appendix_*.ipynb")
    return [path for pattern in patterns for path in sorted(root.glob(pattern))]


def duration(seconds: float) -> str:
    """Return a duration as a reader would say it."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def measured(chapter: str, measurements: Measurements) -> str:
    """Return the sentence about a chapter's time and memory on each tier."""
    records = [(tier, measurements[tier][chapter]) for tier in TIERS if chapter in measurements.get(tier, {})]
    if not records:
        return "**Measured:** not yet."
    groups = []
    for (machine, date), group in groupby(records, key=lambda record: (record[1]["machine"], record[1]["date"])):
        figures = [f"{tier} {duration(one['seconds'])}, {one['peak_memory_mb']:.0f} MB" for tier, one in group]
        groups.append(f"{'; '.join(figures)} ({machine}, {date})")
    return f"**Measured:** {'; '.join(groups)}."


def stamp_header(source: str, path: str, chapter: str | None, address: Address, measurements: Measurements) -> str:
    """Return a notebook's first cell with its Colab link and, in a chapter, its measured line; added where missing."""
    lines = {COLAB_LINE: f"[Open in Colab]({address.colab}/blob/main/{path})"}
    if chapter:
        lines[MEASURED_LINE] = measured(chapter, measurements)
    for pattern, line in reversed(lines.items()):
        if pattern.search(source):
            source = pattern.sub(lambda _, line=line: line, source, count=1)
        else:
            title, _, rest = source.partition("\n")
            source = f"{title}\n\n{line}\n{rest}".rstrip("\n")
    return source


def stamp_notebook(text: str, path: str, address: Address, measurements: Measurements) -> str:
    """Return a notebook's text with its header and its set-up cell as they should be."""
    notebook = json.loads(text)
    cells = notebook["cells"]
    chapter = None if "solutions" in path or "appendix" in path else Path(path).stem
    header = stamp_header("".join(cells[0]["source"]), path, chapter, address, measurements)
    cells[0]["source"] = header.splitlines(keepends=True)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    if not code or not "".join(code[0]["source"]).startswith(SETUP_COMMENT):
        code = [{"cell_type": "code", "execution_count": None, "id": "set-up", "outputs": []}]
        cells.insert(1, code[0])
    code[0]["metadata"] = {"tags": ["remove-cell"]}
    code[0]["source"] = address.setup.splitlines(keepends=True)
    ordered = [dict(sorted(cell.items())) for cell in cells]
    return json.dumps({**notebook, "cells": ordered}, indent=1, ensure_ascii=False) + "\n"


def stamp_page(text: str, address: Address, measurements: Measurements) -> str:
    """Return a page's text with every link to this repository, and every row of the chapter table, as it should be."""

    def row(found: re.Match) -> str:
        records = [measurements.get(tier, {}).get(found[2]) for tier in ("smoke", "cpu")]
        times = [duration(one["seconds"]) if one else "–" for one in records]
        memory = [f"{one['peak_memory_mb']:.0f} MB" for one in records if one]
        return f"{found[1]} {times[0]} | {times[1]} | {memory[-1] if memory else '–'} |"

    text = re.sub(rf"https://colab\.research\.google\.com/github/{SLUG}", address.colab, text)
    text = re.sub(rf"https://github\.com/{SLUG}", address.repository, text)
    text = re.sub(r"https://[\w-]+\.github\.io/[\w.-]*\w", address.book, text)
    return TABLE_ROW.sub(row, text)


def stamped_files(root: Path, address: Address) -> dict[Path, str]:
    """Return every file that carries a stamp, with the text that it should have."""
    measurements = read_measurements(root)
    notebooks = {
        path: stamp_notebook(path.read_text("utf-8"), path.relative_to(root).as_posix(), address, measurements)
        for path in notebook_paths(root)
    }
    pages = [root / name for name in PAGES if (root / name).exists()]
    return notebooks | {path: stamp_page(path.read_text("utf-8"), address, measurements) for path in pages}


def stale_files(root: Path, address: Address) -> dict[Path, str]:
    """Return the files whose text differs from what it should be, with the text that it should be."""
    return {path: text for path, text in stamped_files(root, address).items() if path.read_text("utf-8") != text}


def main() -> None:
    """Stamp every file, or with `--check` only name those that need it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repository", metavar="OWNER/NAME", help="the new address; _config.yml is rewritten too")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file needs stamping")
    arguments = parser.parse_args()
    if arguments.repository and not re.fullmatch(SLUG, arguments.repository):
        sys.exit(f"{arguments.repository!r} is no repository; write it as OWNER/NAME.")
    address = Address(*arguments.repository.split("/")) if arguments.repository else read_address(ROOT)
    stale = stale_files(ROOT, address)
    names = ", ".join(path.relative_to(ROOT).as_posix() for path in stale)
    if arguments.check:
        sys.exit(f"These files need `make stamp`: {names}." if stale else None)
    for path, text in stale.items():
        path.write_text(text, "utf-8")
    print(f"Stamped {names}." if stale else "Everything was stamped already.")


if __name__ == "__main__":
    main()
