"""The whole book in one zip, for places without a network: the site, the notebooks, the checkpoints and the wheel.

python -m scripts.offline_zip

Everything stands in one folder inside the zip, with a short text that says where to begin. The same files give the same
zip, to the byte.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from minigpt import __version__

ROOT = Path(__file__).parent.parent
NAME = f"minigpt-{__version__}"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the only date that every zip file can hold, and the same for every build
PACKED_ALREADY = {".safetensors", ".png", ".woff", ".woff2", ".whl"}
SKIPPED = {"__pycache__", ".ipynb_checkpoints", ".ruff_cache", "_sources", ".buildinfo", ".doctrees"}
FIRST = f"""minigpt {__version__}, to take along

To read the book, open book/index.html in a browser.
Pages that run a model need a server:
    python -m http.server 8000 --bind 127.0.0.1 --directory book
and then http://localhost:8000/ in the browser.

To run the chapters, install the package where torch and the other packages that it names are installed:
    pip install wheel/{NAME.replace("minigpt-", "minigpt_book-")}-py3-none-any.whl
    jupyter lab notebooks

The trained models are in checkpoints. The package carries its own copy of them.
"""


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel with the build backend that is installed, so that nothing is downloaded."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def files_of(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file of a folder that belongs to the book, in order, with its path inside the folder."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not SKIPPED.intersection(inside.parts):
            yield path, inside


def pack(out: Path, folders: dict[str, Path], texts: dict[str, str]) -> None:
    """Write folders and texts into one zip, which takes its name only once it is whole."""
    unfinished = out.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name, text in texts.items():
            archive.writestr(entry(name), text)
        for name, folder in folders.items():
            for path, inside in files_of(folder):
                archive.writestr(entry(f"{name}/{inside.as_posix()}"), path.read_bytes())
    unfinished.replace(out)


def entry(name: str) -> zipfile.ZipInfo:
    """Return what the zip says of a file: compressed unless it is so already, and readable for everyone."""
    info = zipfile.ZipInfo(f"{NAME}/{name}", EARLIEST)
    info.compress_type = zipfile.ZIP_STORED if Path(name).suffix in PACKED_ALREADY else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def main() -> None:
    """Pack the built site and everything else that a reader needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / f"{NAME}-offline.zip")
    arguments = parser.parse_args()
    if not (arguments.site / "index.html").exists():
        sys.exit(f"There is no built book in {arguments.site}; run `make book` first.")
    with tempfile.TemporaryDirectory() as temporary:
        wheel = build_wheel(Path(temporary))
        folders = {
            "book": arguments.site,
            "notebooks": ROOT / "chapters",
            "checkpoints": ROOT / "checkpoints",
            "wheel": wheel.parent,
        }
        pack(arguments.out, folders, {"READ-ME-FIRST.txt": FIRST})
    print(f"{arguments.out.stat().st_size / 1e6:.0f} MB, in one file:\n{arguments.out}")


if __name__ == "__main__":
    main()
