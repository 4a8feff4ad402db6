"""Envelopes: the band in which reference runs lie that differ in nothing but their seed.

A run is looked at in intervals, each from one evaluation of the reference runs to the next. Losses are in nats per
token.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minigpt.checkpoint.run_log import RunLog, StepMetrics, round_significant, validation_curve
from minigpt.config import GPTConfig, TrainConfig
from minigpt.utils.errors import UserError, not_none
from minigpt.utils.files import read_json
from minigpt.utils.machine import asset_path

QUANTITIES = ("training_loss", "validation_loss", "gap", "noise", "gradient_norm", "learning_rate")


SIZES = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "hidden_dim")


IGNORED_FIELDS = {"seed", "save_every", "eval_every", "sample_every", "sample_prompt", "sample_tokens", "attn_impl"}


IGNORED_FIELDS |= {"grad_accum_steps", "target_loss", "patience", "vocab_size", "mlp_dim"}


TOLERANCE = 1.5  # how far beyond the reference runs still counts as normal, in widths of the band


Summary = dict[str, list[float | None]]


@dataclass(frozen=True)
class Band:
    """One quantity of several runs at the end of each interval."""

    mean: list[float]
    lowest: list[float]
    highest: list[float]

    @property
    def tolerance(self) -> list[float]:
        """How far another seed may reasonably lie beyond the lowest and the highest, for each interval.

        Three runs may agree by chance, so the width of the band counts as at least its median over all intervals.
        """
        widths = [high - low for low, high in zip(self.lowest, self.highest, strict=True)]
        return [TOLERANCE * max(width, statistics.median(widths)) for width in widths]


@dataclass(frozen=True)
class ReferenceBand:
    """What reference runs of one configuration on one corpus did: `steps` are the ends of the intervals."""

    name: str
    corpus: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]
    seeds: list[int]
    machine: dict[str, Any]
    steps: list[int]
    bands: dict[str, Band]

    def __str__(self) -> str:
        seeds = ", ".join(map(str, self.seeds))
        return f"{len(self.seeds)} reference runs ({self.name}, {self.corpus['name']}, seeds {seeds})"

    def save(self, path: Path) -> None:
        """Write the reference band as JSON, one list a line."""
        values = asdict(self)
        lines = [f' "{name}": {json.dumps(values[name])}' for name in values if name != "bands"]
        bands = [f'  "{name}": {json.dumps(band)}' for name, band in values["bands"].items()]
        text = ",\n".join([*lines, ' "bands": {\n' + ",\n".join(bands) + "\n }"])
        path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def make_reference_band(name: str, runs: Sequence[RunLog], steps: Sequence[int] | None = None) -> ReferenceBand:
    """Return the reference band of runs that differ in their seed; the intervals end at `steps`, or at each evaluation.

    Raises:
        UserError: there are no runs, one stopped early, or they differ in more than the seed.
    """
    if len(runs) <= 0:
        raise UserError("A reference band needs at least one run.")
    first = runs[0].header
    kinds = [(_without_seed(run.header["training"]), run.header["model"], run.header["corpus"]) for run in runs]
    if kinds.count(kinds[0]) != len(runs):
        raise UserError("These runs differ in more than their seed; make one reference band of each.")
    steps = list(steps or [record.step for record in runs[0].evaluations])
    summaries = [summarise(run.records, steps) for run in runs]
    bands = {quantity: _band_of([complete(summary, quantity) for summary in summaries]) for quantity in QUANTITIES}
    seeds = [run.header["training"]["seed"] for run in runs]
    training = _without_seed(first["training"])
    return ReferenceBand(name, first["corpus"], first["model"], training, seeds, first["machine"], steps, bands)


def _without_seed(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run without its seed."""
    return {name: value for name, value in training.items() if name != "seed"}


def complete(summary: Summary, quantity: str) -> list[float]:
    """Return a quantity of a run for each interval.

    Raises:
        UserError: it is missing for one of them.
    """
    lacking = f"A run lacks its {quantity} for an interval; run it to its end."
    return [not_none(value, lacking) for value in summary[quantity]]


def _band_of(curves: Sequence[Sequence[float]]) -> Band:
    """Return the mean, the lowest and the highest of several curves at each place."""
    columns = list(zip(*curves, strict=True))
    parts = ([round_significant(float(of(column))) for column in columns] for of in (statistics.mean, min, max))
    return Band(*parts)


def summarise(records: Sequence[StepMetrics], steps: Sequence[int]) -> Summary:
    """Return each quantity of a run for each interval that ends at one of `steps`; None where the run has none.

    The training loss and the learning rate are means over the interval, the gradient norm is a median, and the noise
    is the spread of the training loss from step to step. The validation loss is that at the interval's end, and the gap
    is how far it lies above the training loss.
    """
    summary: Summary = {quantity: [] for quantity in QUANTITIES}
    last = max((record.step for record in records), default=0)
    for start, end in zip([0, *steps], steps, strict=False):
        inside = [record for record in records if start < record.step <= end] if end <= last else []
        losses = [record.loss for record in inside]
        training = statistics.fmean(losses) if losses else None
        validation = validation_at(end, records)
        summary["training_loss"].append(training)
        summary["validation_loss"].append(validation)
        summary["gap"].append(None if training is None or validation is None else validation - training)
        summary["noise"].append(noise_of(losses))
        summary["gradient_norm"].append(statistics.median(r.gradient_norm for r in inside) if inside else None)
        summary["learning_rate"].append(statistics.fmean(r.learning_rate for r in inside) if inside else None)
    return summary


def noise_of(losses: Sequence[float]) -> float | None:
    """Return the spread of values around their trend, from the differences of neighbours; None for fewer than three."""
    differences = [later - earlier for earlier, later in zip(losses, losses[1:], strict=False)]
    return statistics.stdev(differences) / math.sqrt(2) if len(differences) > 1 else None


def validation_at(step: int, records: Sequence[StepMetrics]) -> float | None:
    """Return the validation loss at a step, on the line between the evaluations around it; None outside of them."""
    known = validation_curve(records)
    before = max((pair for pair in known if pair[0] <= step), default=None)
    after = min((pair for pair in known if pair[0] >= step), default=None)
    if before is None or after is None:
        return None
    share = (step - before[0]) / max(1, after[0] - before[0])
    return before[1] + share * (after[1] - before[1])


def read_reference_band(path: Path) -> ReferenceBand:
    """Read an reference_band.

    Raises:
        UserError: the file is missing or damaged.
    """
    values = read_json(path)
    try:
        bands = {quantity: Band(**values["bands"][quantity]) for quantity in QUANTITIES}
        return ReferenceBand(**values | {"bands": bands})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a reference band ({error}); make it again with experiments/reference_bands.py."
        ) from None


def shipped_reference_bands() -> list[ReferenceBand]:
    """Return all reference bands that come with the book."""
    return [read_reference_band(path) for path in sorted(asset_path("results/reference_bands").glob("*.json"))]


def find_reference_band(model: GPTConfig, corpus: str, training: TrainConfig | None = None) -> ReferenceBand | None:
    """Return the reference band for a model of these sizes on this corpus, or None.

    The run must be planned for as many steps, since the schedule depends on them. Where there are several, it is the
    one whose settings have most in common with the run's.
    """
    fitting = [
        one
        for one in shipped_reference_bands()
        if one.corpus["name"] == corpus
        and _sizes_of(one.model) == _sizes_of(model)
        and (training is None or training.max_steps == one.training["max_steps"])
    ]
    return min(fitting, key=lambda one: len(differences(one, model, training)), default=None)


def _sizes_of(model: GPTConfig | dict[str, Any]) -> list[int]:
    """Return what has to be equal for two losses to be comparable at all."""
    model = model if isinstance(model, GPTConfig) else GPTConfig.from_dict(model)
    return [getattr(model, name) for name in SIZES]


def differences(
    reference_band: ReferenceBand, model: GPTConfig | None, training: TrainConfig | None
) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which a run differs from the reference runs: name -> (of the run, of the reference)."""
    pairs = ((reference_band.model, model), (reference_band.training, training))
    return {
        name: (value, reference[name])
        for reference, own in pairs
        if own is not None
        for name, value in own.to_dict().items()
        if name not in IGNORED_FIELDS and name in reference and value != reference[name]
    }
