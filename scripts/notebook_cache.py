"""Forget executed notebooks that no longer hold: the cache itself only notices a change in the notebook.

A run of a chapter depends on the package, the shipped checkpoints and records, the tier, the libraries and
whether the reader's own copy of the data is used. A key of all these is kept beside the cache.
"""

import argparse
import hashlib
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
PAGES = BUILD / ".doctrees"
REPORTS = BUILD / "html" / "reports"
KEY = CACHE / "minigpt-key"
SOURCES = (
    "minigpt",
    "checkpoints",
    "results",
    "requirements.txt",
    "requirements-plays.txt",
    "scripts/execute_notebooks.py",
)
IGNORED = {"__pycache__", "chapters.json"}


def hashed_files() -> list[Path]:
    """Return the files on which a chapter's outputs depend, sorted by name."""
    found = [file for name in SOURCES for file in [ROOT / name, *(ROOT / name).rglob("*")]]
    return sorted(file for file in found if file.is_file() and not IGNORED & set(file.parts))


def current_key(tier: str) -> str:
    """Return one hash of everything, besides the chapter itself, that a chapter's outputs depend on."""
    digest = hashlib.sha256(f"{tier} {bool(os.environ.get('MINIGPT_DATA'))}".encode())
    for file in hashed_files():
        digest.update(file.relative_to(ROOT).as_posix().encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def refresh(tier: str) -> None:
    """Remove the cache when its key differs from the current one, and write the key."""
    key = current_key(tier)
    if not KEY.exists() or KEY.read_text("utf-8") != key:
        if CACHE.exists():
            print("The package, the tier or the data changed: every chapter is executed anew.")
        shutil.rmtree(CACHE, ignore_errors=True)
        forget_pages()
        CACHE.mkdir(parents=True)
        KEY.write_text(key, encoding="utf-8")
    shutil.rmtree(REPORTS, ignore_errors=True)


def forget_pages() -> None:
    """Make the next build read every page again, so that a warning is not lost because its page did not change."""
    shutil.rmtree(PAGES, ignore_errors=True)


def report_failure() -> None:
    """Say where to look after a failed build."""
    forget_pages()
    reports = sorted(REPORTS.rglob("*.err.log"))
    for report in reports:
        print(f"A cell failed; its full traceback is in {report}")
    if not reports:
        print("The book was not built: every warning counts as an error, and they are listed above.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tier", default="smoke")
    parser.add_argument("--failed", action="store_true", help="report a failed build instead")
    arguments = parser.parse_args()
    if arguments.failed:
        report_failure()
    else:
        refresh(arguments.tier)
