"""`check_run`: is this loss curve normal, and if not, what is the likely cause?"""

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from minigpt.checkpoint.run_log import RunLog, StepMetrics, round_significant
from minigpt.config import GPTConfig, TrainConfig
from minigpt.data.corpora import Corpus
from minigpt.notebook.check_run.comparison import CURVES, Comparison
from minigpt.notebook.check_run.reference import ReferenceBand, differences, find_reference_band
from minigpt.notebook.check_run.symptoms import Cause, basic_checks, likely_causes
from minigpt.utils.errors import UserError

if TYPE_CHECKING:  # matplotlib is loaded when there is something to draw
    from matplotlib.figure import Figure


@dataclass(repr=False)
class RunReport:
    """What `check_run` found; a notebook shows the picture and the sentences, `print` the sentences.

    `normal` is None where there was nothing to compare with.
    """

    normal: bool | None
    findings: list[str]
    figure: "Figure"
    causes: list[Cause] = field(default_factory=list)

    def __str__(self) -> str:
        named = [
            f"{number}. {cause.name[0].upper()}{cause.name[1:]}: {'; '.join(cause.signs)}.\n   To check: {cause.check}."
            for number, cause in enumerate(self.causes, start=1)
        ]
        return "\n".join([*self.findings, *(["Likely causes, in order:"] if named else []), *named])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        drawing = base64.b64encode(self.figure._repr_svg_().encode()).decode()  # type: ignore[attr-defined]
        alt = html.escape(f"The run beside the reference runs. {self.findings[0]}", quote=True)
        items = [
            f"<li><b>{html.escape(cause.name[0].upper() + cause.name[1:])}</b>: {html.escape('; '.join(cause.signs))}."
            f"<br>To check: {html.escape(cause.check)}.</li>"
            for cause in self.causes
        ]
        parts = [f'<p><img alt="{alt}" src="data:image/svg+xml;base64,{drawing}"></p>']
        parts += [f"<p>{html.escape(finding)}</p>" for finding in self.findings]
        parts += [f"<p>Likely causes, in order:</p><ol>{''.join(items)}</ol>"] if items else []
        return f"<div>{''.join(parts)}</div>"


def check_run(
    history: RunLog | Sequence[StepMetrics],
    *,
    model: GPTConfig | None = None,
    training: TrainConfig | None = None,
    corpus: Corpus | str | None = None,
    reference_band: ReferenceBand | None = None,
) -> RunReport:
    """Compare a run with the reference runs of its kind, and name likely causes where it leaves their band.

    `history` is what `read_run` returns, or the records of `Trainer.run()`; these do not say what was trained on what,
    so pass `model`, `training` and `corpus` beside them. Without reference runs, only general signs are checked.

    Raises:
        UserError: there is no record, or something else than records.
    """
    header, records = (history.header, history.records) if isinstance(history, RunLog) else ({}, list(history))
    others = [one for one in records if not isinstance(one, StepMetrics)]
    if others:
        raise UserError(f"The history holds {others[:1]!r}, not a StepMetrics; pass what Trainer.run() yields.")
    if len(records) <= 0:
        raise UserError("The history holds no record yet; take some steps first.")
    model = model or (GPTConfig.from_dict(header["model"], "The run's header") if "model" in header else None)
    training = training or (
        TrainConfig.from_dict(header["training"], "The run's header") if "training" in header else None
    )
    name = corpus_name(corpus, header)
    if reference_band is None and model is not None and name is not None:
        reference_band = find_reference_band(model, name, training)
    sound = [record for record in records if _is_sound(record)]
    if len(sound) < len(records):
        return _diverged(records, sound)
    if reference_band is None or records[-1].step < reference_band.steps[0]:
        return _without_reference(records, model, name, training, reference_band)
    return _compare(Comparison(records, reference_band, model.dropout if model else None), model, training)


def corpus_name(corpus: Corpus | str | None, header: dict[str, Any]) -> str | None:
    """Return the name of the corpus, as it was passed or as the header of the run has it."""
    if corpus is not None:
        return corpus if isinstance(corpus, str) else corpus.name
    noted = header.get("corpus")
    return noted.get("name") if isinstance(noted, dict) else noted


def _compare(run: Comparison, model: GPTConfig | None, training: TrainConfig | None) -> RunReport:
    """Say where the run lies beside the band, and why that may be."""
    from minigpt.notebook.plots import plot_comparison

    verdicts = {quantity: run.verdict(quantity) for quantity in CURVES}
    normal = not {"above", "below"} & set(verdicts.values()) and not run.gap_is_large()
    own = differences(run.reference_band, model, training)
    changed = ", ".join(
        f"{name} = {round_significant(value)!r} (theirs: {reference!r})" for name, (value, reference) in own.items()
    )
    if normal:
        findings = [f"Normal: the run stays within the band of {run.reference_band}."]
    else:
        findings = [f"Outside: the run leaves the band of {run.reference_band}."]
        findings += [_where(run, quantity) for quantity, verdict in verdicts.items() if verdict in ("above", "below")]
    if run.gap_is_large():
        findings.append(f"From training to validation, the loss is {run.late_gap():.3f} nats further up than theirs.")
    if changed:
        findings.append(f"Settings that differ from the reference runs: {changed}.")
    causes = [] if normal else likely_causes(run)
    if not normal and not causes:
        findings.append(
            "None of the known causes fits; "
            + (
                "begin with the settings that differ."
                if changed
                else "compare your code with the book's, part by part."
            )
        )
    return RunReport(normal, findings, plot_comparison(run), causes)


def _where(run: Comparison, quantity: str) -> str:
    """Return a sentence on where a curve lies beside the band at its last interval."""
    band = run.reference_band.bands[quantity]
    place = max(i for i, value in enumerate(run.own[quantity]) if value is not None)
    return (
        f"The {CURVES[quantity]} is {run.verdict(quantity)} the band: {run.own[quantity][place]:.3f} "
        f"at step {run.reference_band.steps[place]:,}, theirs {band.lowest[place]:.3f} to {band.highest[place]:.3f}."
    )


def _is_sound(record: StepMetrics) -> bool:
    """Return whether the losses of a record are numbers."""
    return math.isfinite(record.loss) and math.isfinite(record.validation_loss or 0.0)


def _diverged(records: Sequence[StepMetrics], sound: Sequence[StepMetrics]) -> RunReport:
    """Report a loss that is no number."""
    from minigpt.notebook import plots

    step = next(record.step for record in records if not _is_sound(record))
    cause = Cause(
        "the learning rate is too high",
        ["a loss that is no number is nearly always a step that was too long"],
        "divide the learning rate by 10, and look at the gradient norms before the step",
        1,
    )
    drawing = plots.loss_curves({"this run": sound})
    return RunReport(False, [f"The loss is not a number from step {step:,} on."], drawing, [cause])


def _without_reference(
    records: Sequence[StepMetrics],
    model: GPTConfig | None,
    corpus: str | None,
    training: TrainConfig | None,
    reference_band: ReferenceBand | None,
) -> RunReport:
    """Say that there is nothing to compare with, and what the run shows by itself."""
    from minigpt.notebook import plots

    if reference_band is not None:
        reason = f"The run is shorter than the first {reference_band.steps[0]:,} steps of the reference runs"
    elif model is None or corpus is None:
        reason = "The history does not say which model was trained on which text (pass model=… and corpus=…)"
    else:
        length = f" of {training.max_steps:,} steps" if training else ""
        reason = f"There are no reference runs{length} of this model on {corpus}"
    baseline = {"uniform guess": math.log(model.vocab_size)} if model else {}
    findings = [f"{reason}, so only general signs can be checked."]
    findings += basic_checks(records, model.vocab_size if model else None)
    return RunReport(None, findings, plots.loss_curves({"this run": records}, baseline))
