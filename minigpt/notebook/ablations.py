"""Ablations: cards and a table from their record, with paired t-tests over the seeds."""

import html
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigpt.utils.errors import UserError
from minigpt.utils.machine import asset_path

T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # Student's t for a mean of so many differences, at 95 %, both sides


Variant = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """The mean difference of a change to the baseline in `count` pairs, in nats, and half its 95 % interval."""

    count: int
    mean: float
    margin: float

    @property
    def word(self) -> str:
        """What a paired t-test says."""
        if self.count not in T_95:
            return "too few seeds"
        if abs(self.mean) <= self.margin:
            return "no difference"
        return "better" if self.mean < 0 else "worse"

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ± {self.margin:.4f}" if self.count in T_95 else f"{self.mean:+.4f}"


def paired_differences(variant: Variant, baseline: Variant) -> dict[str, float]:
    """Return by how much a change's loss is above the baseline's, by seed: both drew the same windows."""
    return {
        seed: run["validation_loss"] - baseline["runs"][seed]["validation_loss"]
        for seed, run in variant["runs"].items()
        if seed in baseline["runs"]
    }


def difference(variant: Variant, baseline: Variant) -> Difference:
    """Return the mean of the paired differences of a change, with its margin."""
    differences = list(paired_differences(variant, baseline).values())
    count = len(differences)
    mean = sum(differences) / count if count else math.nan
    if count not in T_95:
        return Difference(count, mean, math.nan)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in differences) / (count - 1))
    return Difference(count, mean, T_95[count] * deviation / math.sqrt(count))


def significance(variant: Variant, baseline: Variant) -> str:
    """Say whether a change made the loss lower, by a paired t-test."""
    found = difference(variant, baseline)
    if found.word == "too few seeds":
        return f"recorded with {found.count} seed{'s' * (found.count != 1)}, too few to judge"
    if found.word == "no difference":
        return f"no difference that {found.count} seeds can show ({found} nats at 95 %)"
    return f"{found.word} by {abs(found.mean):.4f} ± {found.margin:.4f} nats (95 %)"


SUMMARY = "results/ablations/summary.json"


BASELINE = "baseline"


Columns = dict[str, Callable[[Variant, Variant], str]]  # title: what stands there for a variant beside the baseline


@dataclass(frozen=True)
class AblationCard:
    """Rows of the recorded runs, with a sentence on each change and one on how they were made."""

    summary: dict[str, Any]
    names: tuple[str, ...]

    @property
    def columns(self) -> Columns:
        """The titles of the columns, with what gives their cells."""
        return OWN_FIGURES

    @property
    def rows(self) -> list[list[str]]:
        """The baseline and the changes, each with its figures."""
        variants = self.summary["variants"]
        return [
            [name, *(column(variants[name], variants[BASELINE]) for column in self.columns.values())]
            for name in (BASELINE, *self.names)
        ]

    @property
    def conditions(self) -> str:
        """How the runs were made."""
        seeds, training = len(self.summary["variants"][BASELINE]["runs"]), self.summary["training"]
        tokens = training["max_steps"] * training["batch_size"] * self.summary["model"]["block_size"]
        return (
            f"Mean ± standard deviation over {seeds} seed{'s' * (seeds != 1)} of the loss over the whole validation "
            f"part of {self.summary['corpus']['name']}, in nats per token, after {tokens:,} tokens; the target is "
            f"{self.summary['target_loss']:g} nats. Measured on {self.summary['machine']['processor']}, one thread, "
            f"{self.summary['machine']['date']}."
        )

    @property
    def sentences(self) -> list[str]:
        """What was found, and under which conditions."""
        variants = self.summary["variants"]
        found = (f"{name}: {significance(variants[name], variants[BASELINE])}." for name in self.names)
        return [*found, self.conditions]

    def _repr_html_(self) -> str:
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self.rows)
        head = "".join(f'<th scope="col">{title}</th>' for title in ("", *self.columns))
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.sentences)
        table = f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div class="ablation-card" style="overflow-x:auto">{table}{said}</div>'

    def __repr__(self) -> str:
        lines = [["", *self.columns], *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([*table, *self.sentences])


@dataclass(frozen=True, repr=False)
class AblationTable(AblationCard):
    """All recorded changes, each set against the baseline."""

    @property
    def columns(self) -> Columns:
        return BESIDE_THE_BASELINE

    @property
    def sentences(self) -> list[str]:
        paired = (
            "The difference is the mean over pairs of runs with the same seed, with its 95 % interval; a minus means "
            "a lower loss. Time and memory are multiples of the baseline's."
        )
        return [paired, self.conditions]


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
    return _of_record(AblationCard, names, path)


def ablation_table(path: Path | None = None) -> AblationTable | NotRecorded:
    """Return one table of all recorded changes, each with its difference to the baseline and a verdict."""
    return _of_record(AblationTable, (), path)


def _of_record(view: type[AblationCard], names: tuple[str, ...], path: Path | None) -> Any:
    """Return a view of the record, or what stands in for it."""
    try:
        path = path or asset_path(SUMMARY)
    except UserError:
        return NotRecorded("The runs for this card are not recorded yet; experiments/ablations.py makes them.")
    summary = json.loads(path.read_text(encoding="utf-8"))
    compared = [name for name, variant in summary["variants"].items() if variant["runs"] and name != BASELINE]
    for name in names:
        if name not in compared:
            raise UserError(f"There is no ablation {name!r}; those recorded are {', '.join(compared)}.")
    return view(summary, names or tuple(compared))


def plus_minus(spread: dict[str, float] | None, number_format: str) -> str:
    """Return a mean with its deviation, or a dash where there is none."""
    return "–" if spread is None else f"{spread['mean']:{number_format}} ± {spread['deviation']:{number_format}}"


def milliseconds(variant: Variant) -> float:
    """Return the time of a step, or NaN where it was not measured."""
    return variant.get("milliseconds_a_step", math.nan)


def megabytes(variant: Variant) -> float:
    """Return the memory of a step: weights, optimizer and activations."""
    return sum(variant["memory_mb"].values())


def figure(number: float, number_format: str) -> str:
    """Return a number in this format, or a dash where there is none."""
    return "–" if math.isnan(number) else format(number, number_format)


def beside(show: Callable[[Difference], str]) -> Callable[[Variant, Variant], str]:
    """Return what fills a column with something about the difference; the baseline's own cell stays empty."""
    return lambda variant, baseline: "" if variant is baseline else show(difference(variant, baseline))


OWN_FIGURES: Columns = {
    "validation loss": lambda variant, _: plus_minus(variant["validation_loss"], ".4f"),
    "steps to the target": lambda variant, _: plus_minus(variant["steps_to_target"], ".0f"),
    "ms a step": lambda variant, _: figure(milliseconds(variant), ".1f"),
    "memory in MB": lambda variant, _: figure(megabytes(variant), ".1f"),
    "parameters": lambda variant, _: f"{variant['parameters']:,}",
}


BESIDE_THE_BASELINE: Columns = {
    "validation loss": OWN_FIGURES["validation loss"],
    "difference": beside(str),
    "verdict": beside(lambda found: found.word),
    "steps to the target": OWN_FIGURES["steps to the target"],
    "time a step": lambda variant, baseline: figure(milliseconds(variant) / milliseconds(baseline), ".2f"),
    "memory": lambda variant, baseline: figure(megabytes(variant) / megabytes(baseline), ".2f"),
}
