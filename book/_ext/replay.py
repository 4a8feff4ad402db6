"""A Sphinx extension: the directive `replay`, which shows `results/replay.json` as a panel with sliders.

The panel holds its style, its script and the record, so that it works in a page that was opened as a file, too. The
curves are drawn here; without JavaScript, the page shows them with the first and the last sample.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from docutils import nodes
from matplotlib.ticker import MaxNLocator
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from minigpt.utils.files import sha256_file

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "book" / "replay"
RECORD = ROOT / "results" / "replay.json"
SHIPPED = Path("checkpoints", "tiny")
SIZE = 1000  # of a drawing on each side, before the page stretches it

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A quantity along the run: a line, perhaps with single points, and the range of its axis."""

    name: str
    line: Points
    low: float
    high: float
    points: Points | None = None
    keys: tuple[str, str] | None = None
    shape: str = ""

    def html(self, max_steps: int) -> str:
        """Return the drawing with its name, its ticks and a sentence for those who cannot see it."""
        ticks = ticks_between(self.low, self.high, 4 if self.shape else 2)
        grid = "".join(f"M0 {self.height(value)}h{SIZE}" for value in ticks)
        paths = f'<path class="grid" d="{grid}"/><path d="M{self.places(self.line, max_steps, "L")}"/>'
        if self.points:
            paths += f'<path class="points" d="M{self.places(self.points, max_steps, "h0M")}h0"/>'
        labels = (f'<span class="tick" style="top:{self.height(value) / SIZE:.1%}">{value:g}</span>' for value in ticks)
        keys = zip(("line", "points"), self.keys or (), strict=False)
        legend = "".join(f'<span class="key {kind}"></span>{key}' for kind, key in keys)
        return (
            f'<figure class="curve {self.shape}"><figcaption>{self.name}{legend}</figcaption>\n<div class="plot">'
            f'<svg viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none" role="img" aria-label="{self.in_words()}">'
            f"{paths}</svg>{''.join(labels)}</div></figure>"
        )

    def height(self, value: float) -> float:
        """Return how far below the top of the drawing a value stands."""
        return round(SIZE * (self.high - value) / (self.high - self.low), 1)

    def places(self, points: Points, max_steps: int, between: str) -> str:
        """Return points as they stand in the drawing."""
        return between.join(f"{SIZE * step / max_steps:.1f} {self.height(value)}" for step, value in points)

    def in_words(self) -> str:
        """Return what the curve shows, in a sentence."""
        (first, begun), (last, ended) = self.line[0], self.line[-1]
        top, highest = max(self.line, key=lambda point: point[1])
        peak = f", at its highest {highest:.3g} at step {top:,}" if highest > max(begun, ended) else ""
        sentence = f"{self.name}: {begun:.3g} at step {first:,}{peak}, {ended:.3g} at step {last:,}"
        return sentence + (f"; validation {self.points[-1][1]:.3g} at the end" if self.points else "")


def ticks_between(low: float, high: float, most: int) -> list[float]:
    """Return round values between two others."""
    ticks = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [round(float(value), 10) for value in ticks if low <= value <= high]


def curves(record: dict[str, Any]) -> list[Curve]:
    """Return what is drawn of a run."""
    course = record["course"]
    loss = list(zip(course["step"], course["loss"], strict=True))
    rate = list(zip(course["step"], course["learning_rate"], strict=True))
    before = [(frame["step"], frame["before"]) for frame in record["frames"]]
    lowest = min(value for _, value in [*loss, *record["validation"]])
    top, keys = max(course["loss"]), ("training", "validation")
    return [
        Curve("Loss", loss, lowest - 0.1, top, [tuple(point) for point in record["validation"]], keys, "tall"),
        Curve("Learning rate", rate, 0.0, max(course["learning_rate"])),
        Curve("Attention to the character before", before, 0.0, 1.0),
    ]


def head_name(record: dict[str, Any]) -> str:
    """Return the name of the recorded head, counted from 1 as in the playground."""
    block, head = map(int, record["head"].split("."))
    return f"Head {head + 1} of layer {block + 1}"


def facts(record: dict[str, Any]) -> str:
    """Return what the run was, in a few sentences."""
    machine = record["machine"]
    run = f"<code>{record['preset']}</code> on {record['corpus']['name']}"
    sentences = [f"The training of {run}, {machine['date']}, {machine['processor']}."]
    weights = ROOT / SHIPPED / "model.safetensors"
    if not record["finished"]:
        sentences.append("This run had not come to its end when the record was made.")
    elif record["sha256"] == sha256_file(weights):
        sentences.append(f"Its last weights are those of <code>{SHIPPED.as_posix()}</code>.")
    return " ".join(sentences)


def samples(frames: Iterable[dict[str, Any]]) -> str:
    """Return what the model wrote at some steps, for a page that stands still."""
    return "\n".join(
        f'<div class="sample"><p class="sample-heading"><strong>After {frame["step"]:,} steps</strong></p>'
        f'<pre class="tex2jax_ignore">{escape(frame["sample"])}</pre></div>'
        for frame in frames
    )


def panel(record: dict[str, Any]) -> str:
    """Return the whole panel as HTML."""
    steps = (
        f'<span class="tick" style="left:{step / record["max_steps"]:.1%}">{step:,.0f}</span>'
        for step in ticks_between(0, record["max_steps"], 4)
    )
    return Template((FOLDER / "panel.html").read_text("utf-8")).substitute(
        style=(FOLDER / "replay.css").read_text("utf-8"),
        script=(FOLDER / "replay.js").read_text("utf-8"),
        record=json.dumps(record).replace("<", r"\u003c"),
        facts=facts(record),
        temperature=record["sample"]["temperature"],
        samples=samples((record["frames"][0], record["frames"][-1])),
        curves="\n".join(curve.html(record["max_steps"]) for curve in curves(record)),
        steps="".join(steps),
        head_name=head_name(record),
    )


class Replay(SphinxDirective):
    """Show the panel."""

    def run(self) -> list[nodes.Node]:
        """Return the panel as it stands in the page."""
        for path in (RECORD, *FOLDER.iterdir()):
            self.env.note_dependency(str(path))
        return [nodes.raw("", panel(json.loads(RECORD.read_text("utf-8"))), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.add_directive("replay", Replay)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
