"""Ablation cards: what one change to a small GPT gave in the recorded runs, beside the same GPT without it."""

import html
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigpt.config import require
from minigpt.errors import UserError
from minigpt.shipped import shipped

SUMMARY = "runs/ablations/summary.json"
BASELINE = "baseline"
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # Student's t for a mean of so many differences, at 95 %, both sides
Variant = dict[str, Any]
COLUMNS: dict[str, Callable[[Variant], str]] = {
    "validation loss": lambda variant: plus_minus(variant["validation_loss"], ".4f"),
    "steps to the target": lambda variant: plus_minus(variant["steps_to_target"], ".0f"),
    "ms a step": lambda variant: f"{variant['milliseconds_a_step']:.1f}" if "milliseconds_a_step" in variant else "–",
    "memory in MB": lambda variant: f"{sum(variant['memory_mb'].values()):.1f}",
    "parameters": lambda variant: f"{variant['parameters']:,}",
}


@dataclass(frozen=True)
class AblationCard:
    """Rows of the recorded runs, with a sentence on how they were made and one on each change."""

    summary: dict[str, Any]
    names: tuple[str, ...]

    @property
    def rows(self) -> list[list[str]]:
        """The baseline and the changes, each with its figures."""
        shown = [BASELINE, *self.names]
        return [[name, *(column(self.summary["variants"][name]) for column in COLUMNS.values())] for name in shown]

    @property
    def sentences(self) -> list[str]:
        """What was found, and under which conditions."""
        variants, training = self.summary["variants"], self.summary["training"]
        seeds = len(variants[BASELINE]["runs"])
        tokens = training["max_steps"] * training["batch_size"] * self.summary["model"]["block_size"]
        conditions = (
            f"Mean ± standard deviation over {seeds} seeds of the loss over the whole validation part of "
            f"{self.summary['corpus']['name']}, in nats per token, after {tokens:,} tokens; the target is "
            f"{self.summary['target_loss']:g} nats. Measured on {self.summary['machine']['processor']}, one thread, "
            f"{self.summary['machine']['date']}."
        )
        return [*(f"{name}: {verdict(variants[name], variants[BASELINE])}." for name in self.names), conditions]

    def _repr_html_(self) -> str:
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self.rows)
        head = "".join(f'<th scope="col">{title}</th>' for title in ("", *COLUMNS))
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.sentences)
        table = f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div class="ablation-card" style="overflow-x:auto">{table}{said}</div>'

    def __repr__(self) -> str:
        lines = [["", *COLUMNS], *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([*table, *self.sentences])


@dataclass(frozen=True)
class NotRecorded:
    """What stands in for a card whose runs are still to come."""

    sentence: str

    def __repr__(self) -> str:
        return self.sentence


def ablation_card(*names: str, path: Path | None = None) -> AblationCard | NotRecorded:
    """Return the card of some changes, or of all that are recorded; as the last value of a cell it is shown as a table.

    Raises:
        UserError: nothing of that name was compared.
    """
    try:
        path = path or shipped(SUMMARY)
    except UserError:
        return NotRecorded("The runs for this card are not recorded yet; benchmarks/ablations.py makes them.")
    summary = json.loads(path.read_text(encoding="utf-8"))
    compared = [name for name in summary["variants"] if name != BASELINE]
    for name in names:
        require(name in compared, f"There is no ablation {name!r}; those recorded are {', '.join(compared)}.")
    return AblationCard(summary, names or tuple(compared))


def verdict(variant: Variant, baseline: Variant) -> str:
    """Say whether a change made the loss lower, by a paired t-test: each seed draws the same windows for both."""
    pairs = [
        (run["validation_loss"], baseline["runs"][seed]["validation_loss"])
        for seed, run in variant["runs"].items()
        if seed in baseline["runs"]
    ]
    differences = [changed - plain for changed, plain in pairs]
    count = len(differences)
    if count not in T_95:
        return f"recorded with {count} seed{'s' * (count != 1)}, too few to judge"
    mean = sum(differences) / count
    deviation = math.sqrt(sum((one - mean) ** 2 for one in differences) / (count - 1))
    margin = T_95[count] * deviation / math.sqrt(count)
    if abs(mean) <= margin:
        return f"no difference that {count} seeds can show ({mean:+.4f} ± {margin:.4f} nats at 95 %)"
    return f"{'better' if mean < 0 else 'worse'} by {abs(mean):.4f} ± {margin:.4f} nats (95 %)"


def plus_minus(spread: dict[str, float] | None, number_format: str) -> str:
    """Return a mean with its deviation, or a dash where there is none."""
    return "–" if spread is None else f"{spread['mean']:{number_format}} ± {spread['deviation']:{number_format}}"
