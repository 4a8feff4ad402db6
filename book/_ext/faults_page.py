"""A Sphinx extension: the tables of what was tried to break the package, made from `results/faults/`.

They stand where a page has an empty code block such as `{faults} kills`, and the sum of all where `{faults} all` is.
"""

import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from minigpt.notebook.results import markdown_table

FOLDER = Path(__file__).parents[2] / "results" / "faults"
BLOCK = re.compile(r"^```\{faults\} (\w+)\n```$", re.MULTILINE)
ALL = "all"
TITLES = ("what was done", "what has to come of it", "times", "held")


def records() -> dict[str, dict[str, Any]]:
    """Return the record of each campaign by its name."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def tables(name: str) -> str:
    """Return what stands in the place of a block: a campaign's table and what it mended, or the sum of all."""
    found = records()
    if name == ALL:
        return total(found)
    if name not in found:
        return f"*Not recorded yet: `results/faults/{name}.json` will hold it.*"
    record = found[name]
    rows = [
        [cell(one["fault"]), cell(one["outcome"]), f"{one['times']:,}", f"{one['held']:,}"] for one in record["tried"]
    ]
    parts = [markdown_table(TITLES, rows), source(name, record)]
    if record["mended"]:
        parts.append("What broke on the way, and was mended:\n\n" + "\n".join(f"- {each}" for each in record["mended"]))
    return "\n\n".join(parts)


def total(found: dict[str, dict[str, Any]]) -> str:
    """Return a sentence with the sums over all campaigns."""
    tried = [one for record in found.values() for one in record["tried"]]
    times, held = sum(one["times"] for one in tried), sum(one["held"] for one in tried)
    mended = sum(len(record["mended"]) for record in found.values())
    return (
        f"In {len(found)} campaigns, {times:,} faults of {len(tried)} kinds were tried. "
        f"In the runs recorded here {held:,} of them came out as they should; "
        f"{mended} things had broken before, and were mended."
    )


def source(name: str, record: dict[str, Any]) -> str:
    """Return the line that says where a table comes from."""
    machine = record["machine"]
    where = ", ".join(str(machine[key]) for key in ("processor", "date") if key in machine)
    return f"*From `results/faults/{name}.json`: {where}.*"


def cell(text: str) -> str:
    """Return a text that cannot end its cell."""
    return text.replace("|", r"\|")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""

    def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
        if BLOCK.search(source[0]):
            source[0] = BLOCK.sub(lambda found: tables(found[1]), source[0])
            app.env.note_reread()  # the records may have changed when the page itself has not

    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
