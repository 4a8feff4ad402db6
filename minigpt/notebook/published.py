"""Figures that other documents publish about models of this kind, set beside what their configurations give.

The figures stand in `published.toml`, as they were written; everything else here is computed.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from minigpt.config import GPTConfig, model_preset
from minigpt.notebook.results import markdown_table
from minigpt.planning.counting import evaluate_formula, num_parameters

SCALES = {"": 1, "k": 10**3, "M": 10**6, "million": 10**6, "MB": 10**6}


EXACT, ROUNDED, CONTRADICTORY = "exact", "rounded", "contradictory"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A published figure: where it stands, how it is written, and the configuration that it is said of.

    `formula` says what to count in the symbols of `minigpt.planning.counting`, by default all parameters; `bytes` is
    how many bytes each of them takes, if the figure is a size. `model` is a preset's name or a table of sizes.
    """

    document: str
    group: str
    what: str
    written: str
    model: str | dict[str, Any]
    formula: str | None = None
    bytes: int = 1
    reason: str = ""

    @property
    def config(self) -> GPTConfig:
        """The configuration that the figure is said of."""
        return model_preset(self.model) if isinstance(self.model, str) else GPTConfig(**self.model)

    @property
    def computed(self) -> int:
        """What that configuration gives."""
        number = num_parameters(self.config) if self.formula is None else evaluate_formula(self.formula, self.config)
        return number * self.bytes

    @property
    def verdict(self) -> str:
        """Whether the two agree: exact, rounded or contradictory."""
        return verdict(self.written, self.computed)


def published(group: str | None = None) -> list[Figure]:
    """Return all published figures, or those of one group, in the order of the documents."""
    return [Figure(**row) for row in facts("figure") if group in (None, row["group"])]


def facts(name: str) -> Any:
    """Return one part of the file: the list `figure`, or the tables `run`, `tokens` and `memory`."""
    return tomllib.loads(files("minigpt.notebook").joinpath("published.toml").read_text("utf-8"))[name]


def verdict(written: str, computed: float) -> str:
    """Compare a number as it is written with the number that it should be.

    "3,221,825" can be exact; "3.2M", "~150M" and "2–3 million" are rounded if the number gives them when it is
    rounded to their last digit, or cut off there. Zeros at the end, as in "~150M", are no digits beyond the second.
    """
    lowest, highest = rounding_interval(written)
    if lowest == highest == computed:
        return EXACT
    return ROUNDED if lowest < highest and lowest <= computed <= highest else CONTRADICTORY


def rounding_interval(written: str) -> tuple[float, float]:
    """Return the lowest and the highest number that a written one can stand for; the same if it says all digits."""
    numbers = re.findall(r"[\d.,]*\d", written)
    scale = SCALES[re.sub(r"[\d.,~–\s]", "", written)]
    amounts = [float(number.replace(",", "")) * scale for number in numbers]
    if scale == 1:
        return amounts[0], amounts[-1]
    unit = _rounding_unit(numbers[-1]) * scale
    return amounts[0] - unit / 2, amounts[-1] + unit - 1


def _rounding_unit(number: str) -> float:
    """Return what one unit of a number's last digit is worth: 0.1 in 3.2, 1 in 41 and in 40, 10 in 150 and in 200."""
    whole, _, decimals = number.partition(".")
    if decimals:
        return 10.0 ** -len(decimals)
    zeros = len(whole) - len(whole.rstrip("0"))
    return 10.0 ** min(zeros, max(0, len(whole) - 2))


def table(figures: Iterable[Figure]) -> str:
    """Return figures as a Markdown table, and below it the reasons that were found."""
    figures = list(figures)
    rows = [(each.what, each.written, f"{each.computed:,}", each.verdict) for each in figures]
    reasons = [f"- **{each.what}**: {each.reason}" for each in figures if each.reason]
    return "\n".join([markdown_table(("figure", "published", "computed", "verdict"), rows), "", *reasons])
