"""A Sphinx extension: every page says when its source was last changed, as far as the history is at hand."""

import subprocess
from datetime import date
from pathlib import Path

from sphinx.application import Sphinx

MARK = "date "


def dates_of_changes(root: Path) -> dict[str, date]:
    """Return when each file was last committed, by its path from `root`; nothing without a whole history."""
    try:
        shallow = git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
        log = git(root, "log", f"--format={MARK}%cs", "--name-only", "--no-renames", "--relative")
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {} if shallow else latest_dates(log)


def git(root: Path, *arguments: str) -> str:
    """Return what git says of a folder."""
    command = ["git", "-C", str(root), "-c", "core.quotePath=false", *arguments]
    return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout


def latest_dates(log: str) -> dict[str, date]:
    """Return the first date, which is the latest, that a log names for each file."""
    dates: dict[str, date] = {}
    day = date.min
    for line in log.splitlines():
        if line.startswith(MARK):
            day = date.fromisoformat(line.removeprefix(MARK))
        elif line:
            dates.setdefault(line, day)
    return dates


def read_dates(app: Sphinx) -> None:
    """Ask git once, before the pages are written."""
    app.dates_of_changes = dates_of_changes(Path(app.srcdir))


def add_date(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Put the date where the theme's footer looks for it, or nothing where none is known."""
    changed = doctree and app.dates_of_changes.get(app.env.doc2path(page, base=False))
    context["last_updated"] = f"{changed.day} {changed:%B %Y}" if changed else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.connect("builder-inited", read_dates)
    app.connect("html-page-context", add_date)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
