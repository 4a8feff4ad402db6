"""Tables in Markdown."""

import re
from collections.abc import Iterable, Sequence

FIGURE = re.compile(r"|–|[-+−]?\d.*")


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; the columns that hold figures stand to the right, the others to the left."""
    rows = list(rows)
    columns = zip(*rows, strict=True) if rows else [()] * len(titles)
    rule = ["--:" if all(map(FIGURE.fullmatch, column)) else "---" for column in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows))
