"""The committed records as tables, each with its machine, its date and the command that made it."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigpt.utils.errors import UserError
from minigpt.utils.machine import asset_path

FIGURE = re.compile(r"|–|[-+−]?\d.*")


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; the columns that hold figures stand to the right, the others to the left."""
    rows = list(rows)
    columns = zip(*rows, strict=True) if rows else [()] * len(titles)
    rule = ["--:" if all(map(FIGURE.fullmatch, column)) else "---" for column in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows))


Content = dict[str, Any]


Rows = Iterable[Sequence[object]]


ABOUT = "README.md"  # of the folder of records: what each holds, and what made it


@dataclass(frozen=True)
class Results:
    """A table with the line that says where its figures come from; the last value of a cell is shown as Markdown."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    source: str

    def _repr_markdown_(self) -> str:
        return f"{markdown_table(self.titles, self.rows)}\n\n{self.source}" if self.rows else self.source

    def __repr__(self) -> str:
        return self._repr_markdown_()


def results(name: str, titles: Sequence[str] = (), rows: Callable[[Content], Rows] | None = None) -> Results:
    """Return the table that `rows` makes of a record, such as `gates.json`, or a sentence where there is none yet.

    Of a `.jsonl` record, the content is its header. Integers are written with commas, other numbers with
    six figures; a missing value is a dash. Without `rows`, the first list of cases in the record is shown as it is.
    """
    content = read_record(name)
    if content is None:
        return Results((), (), f"Not recorded yet: `results/{name}` will hold it.")
    if rows is None:
        cases = first_cases(content)
        titles = [title for title, value in cases[0].items() if not isinstance(value, (dict, list))] if cases else ()
        made: Iterable[Sequence[object]] = [[case.get(title) for title in titles] for case in cases]
    else:
        made = rows(content)
    cells = tuple(tuple(_format_cell(cell) for cell in row) for row in made)
    return Results(tuple(title.replace("_", " ") for title in titles), cells, _source(name, content))


def first_cases(content: object) -> list[Content]:
    """Return the first list of objects in a record, at whatever depth."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return content
    parts = content.values() if isinstance(content, dict) else ()
    return next((cases for cases in map(first_cases, parts) if cases), [])


def read_record(name: str) -> Content | None:
    """Return what a record holds, or None where it is not shipped."""
    try:
        text = asset_path(f"results/{name}").read_text("utf-8")
    except UserError:
        return None
    return json.loads(text.partition("\n")[0] if name.endswith(".jsonl") else text)


def record_names() -> list[str]:
    """Return the names of all shipped records, sorted."""
    folder = asset_path("results")
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json*"))


def _format_cell(value: object) -> str:
    """Return a value as a cell of a table shows it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _source(name: str, content: Content) -> str:
    """Return where a table comes from: the record, the machine and the date, and the command that made it."""
    return sources({name: content})


def sources(records: Mapping[str, Content]) -> str:
    """Return where a table comes from that several records share; those of one origin share a sentence."""
    by_origin: dict[str, list[str]] = {}
    for name, content in records.items():
        by_origin.setdefault(_provenance(name, content), []).append(f"`results/{name}`")
    return "\n\n".join(f"Record{'s' * (len(names) > 1)}: {', '.join(names)}{how}." for how, names in by_origin.items())


def _provenance(name: str, content: Content) -> str:
    """Return the machine, the date and the command of a record, as the end of a sentence."""
    facts, machine, command = "", machine_of(content), made_by(name)
    if machine:
        threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
        version = f"torch {machine['torch']}, " if "torch" in machine else ""
        facts += f"; {machine['processor']}, {threads}, {version}{machine['date']}"
    return f"{facts}; made by `{command}`" if command else facts


def machine_of(content: object) -> Content | None:
    """Return the first description of a machine that a record holds, at whatever depth."""
    if isinstance(content, dict):
        if {"processor", "threads", "date"} <= content.keys():
            return content
        found = map(machine_of, content.values())
        return next((machine for machine in found if machine), None)
    return None


def made_by(name: str) -> str | None:
    """Return the command that made a record, as the README of the records says."""
    line = _about(name)
    tool = re.search(r"made by `([^`]+)`", line) if line else None
    return (
        None
        if tool is None
        else (f"python -m {tool[1].removesuffix('.py').replace('/', '.')}" if tool[1].endswith(".py") else tool[1])
    )


def _about(name: str) -> str | None:
    """Return the line of the records' README on one record, which it names, names by pattern, or by its folder."""
    folder = Path(name).parent.as_posix() + "/"
    for line in asset_path(f"results/{ABOUT}").read_text("utf-8").splitlines():
        named = re.match(r"- ((`[^`]+`(, | and )?)+)", line)
        for pattern in re.findall(r"`([^`]+)`", named[1]) if named else ():
            expression = re.sub(r"[A-Z]{3,}", ".+", re.escape(Path(pattern).stem))
            if pattern == folder or (folder == "./" and re.fullmatch(expression, Path(name).stem)):
                return line.removeprefix("- ")
    return None
