"""The book's figures, in one style: every function returns a `Figure` that a notebook shows as a cell's value."""

import io
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from minigpt.checkpoint.run_log import RunLog, StepMetrics, validation_curve
from minigpt.notebook import plots
from minigpt.notebook.check_run.comparison import CURVES, Comparison

COLORS = ("#2a6f97", "#c8553d", "#588157", "#8a5a9e", "#b08900", "#4a4e69")


INK = "#333333"


SHADES = LinearSegmentedColormap.from_list("minigpt", ["#ffffff", "#a9d0e3", "#2a6f97", "#0d2c40"])


STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),  # type: ignore[attr-defined]
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "axes.titleweight": "bold",
    "font.size": 9,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class StyledAxes(Axes):
    """Axes that keep the book's style for titles and legends, which matplotlib styles only when they are set."""

    set_title = matplotlib.rc_context(STYLE)(Axes.set_title)
    legend = matplotlib.rc_context(STYLE)(Axes.legend)


class BookFigure(Figure):
    """A figure that shows itself in a notebook as a vector drawing, once, without pyplot."""

    def _repr_svg_(self) -> str:
        drawing = io.StringIO()
        FigureCanvasAgg(self)
        self.savefig(drawing, format="svg", bbox_inches="tight")
        return drawing.getvalue()


def new_figure(
    width: float = 6.5, height: float = 3.2, rows: int = 1, columns: int = 1, **options
) -> tuple[Figure, Any]:
    """Return an empty figure in the book's style and its axes (an array of axes where there are several).

    `width` and `height` are in inches; `options` go to `Figure.subplots`.
    """
    with matplotlib.rc_context(STYLE):
        drawing = BookFigure(figsize=(width, height), layout="constrained")
        return drawing, drawing.subplots(rows, columns, subplot_kw={"axes_class": StyledAxes}, **options)


def line_plot(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str, title: str = "") -> Figure:
    """Draw named curves, each a pair of x values and y values, with labelled axes."""
    drawing, axes = new_figure()
    for name, (xs, ys) in curves.items():
        axes.plot(list(xs), list(ys), label=name)
    axes.set(xlabel=x, ylabel=y, title=title)
    if len(curves) > 1:
        axes.legend()
    return drawing


def loss_curves(
    runs: Mapping[str, RunLog | Sequence[StepMetrics]], baseline: Mapping[str, float] | None = None, title: str = ""
) -> Figure:
    """Draw the loss of one or more runs against the step: training thin, validation with points.

    `baseline` adds named horizontal lines, such as the loss of a uniform guess. Losses are in nats per token.
    """
    drawing, axes = new_figure()
    draw_losses(axes, runs, baseline or {})
    axes.set_title(title)
    return drawing


def draw_losses(axes: Axes, runs: Mapping[str, RunLog | Sequence[StepMetrics]], baseline: Mapping[str, float]) -> None:
    """Draw what `loss_curves` draws into axes that exist already."""
    for (name, run), colour in zip(runs.items(), COLORS * len(runs), strict=False):
        records = run.records if isinstance(run, RunLog) else list(run)
        steps, losses = [record.step for record in records], smooth([record.loss for record in records])
        axes.plot(steps, losses, color=colour, linewidth=0.9, alpha=0.7, label=f"{name}: training")
        if curve := validation_curve(records):
            axes.plot(*zip(*curve, strict=True), color=colour, marker="o", markersize=3, label=f"{name}: validation")
    for (name, loss), colour in zip(baseline.items(), COLORS[::-1] * len(baseline), strict=False):
        axes.axhline(loss, color=colour, linestyle="--", linewidth=1, label=name)
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.legend(fontsize=8)


def smooth(values: Sequence[float], share: float = 0.01) -> list[float]:
    """Return a trailing mean over a share of the values, so that a noisy curve can be read."""
    width = max(1, round(len(values) * share))
    return [sum(values[max(0, i - width + 1) : i + 1]) / min(width, i + 1) for i in range(len(values))]


def heatmap(
    matrix: Tensor,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    title: str = "",
    x: str = "",
    y: str = "",
    number_format: str | None = None,
) -> Figure:
    """Draw a matrix as shades, with labels on its rows and columns and, with `number_format`, its numbers."""
    matrix = torch.as_tensor(matrix).detach().float().cpu()
    n_rows, n_columns = matrix.shape
    cell = min(0.5, 5.0 / max(n_columns, n_rows))
    drawing, axes = new_figure(width=min(6.8, 1.6 + cell * n_columns), height=0.9 + cell * n_rows)
    draw_matrix(axes, matrix, rows, columns)
    axes.set(title=title, xlabel=x, ylabel=y)
    if number_format is not None:
        middle = (matrix.min() + matrix.max()) / 2
        for i in range(n_rows):
            for j in range(n_columns):
                colour = "white" if matrix[i, j] > middle else INK
                text = format(matrix[i, j].item(), number_format)
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    return drawing


def attention_maps(weights: Tensor, tokens: Sequence[str], columns: int = 3, titles: Sequence[str] = ()) -> Figure:
    """Draw attention weights, one panel a head: a row is a query, a column a key.

    weights: (H, T, T), or (T, T) for a single head; tokens: T labels.
    """
    weights = weights.detach().float().cpu()
    weights = weights if weights.dim() == 3 else weights.unsqueeze(0)
    columns = min(columns, len(weights))
    rows = -(-len(weights) // columns)
    height = 0.4 + 6.8 / max(columns, 2) * rows
    drawing, grid = new_figure(width=6.8, height=height, rows=rows, columns=columns, squeeze=False)
    labels = [visible(token) for token in tokens]
    for head, axes in enumerate(grid.flat):
        if head >= len(weights):
            axes.set_visible(False)
            continue
        draw_matrix(axes, weights[head], labels, labels)
        axes.set_title(titles[head] if titles else f"head {head}")
    grid[-1, 0].set(xlabel="key: where it looks", ylabel="query: who looks")
    return drawing


def draw_matrix(axes: Axes, matrix: Tensor, rows: Sequence[str] | None, columns: Sequence[str] | None) -> None:
    """Draw a matrix as shades into axes, with its labels."""
    axes.imshow(matrix.numpy(), cmap=SHADES, aspect="auto")
    axes.grid(False)
    small = 8 if max(matrix.shape) <= 20 else 6
    if rows is not None:
        axes.set_yticks(range(len(rows)), rows, fontsize=small)
    if columns is not None:
        longest = max((len(label) for label in columns), default=0)
        axes.set_xticks(range(len(columns)), columns, fontsize=small, rotation=90 if longest > 3 else 0)


def token_bars(probabilities: Tensor, labels: Sequence[str], title: str = "", most: int = 12) -> Figure:
    """Draw the likeliest tokens as bars. probabilities: (V,); labels: V texts."""
    drawing, axes = new_figure(width=6.0, height=0.7 + 0.24 * min(most, len(labels)))
    draw_token_bars(axes, probabilities, labels, most)
    axes.set_title(title)
    return drawing


def draw_token_bars(axes: Axes, probabilities: Tensor, labels: Sequence[str], most: int = 12) -> None:
    """Draw what `token_bars` draws into axes that exist already."""
    top = torch.as_tensor(probabilities).detach().float().topk(min(most, len(labels)))
    names = [visible(labels[id]) for id in top.indices.tolist()]
    places = range(len(names))
    axes.barh(places, top.values.tolist(), color=COLORS[0])
    axes.set_yticks(places, names, fontfamily="monospace")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("probability")


def visible(token: str) -> str:
    """Return a token so that white space can be seen, and nothing is read as mathematics."""
    return token.replace("\n", "↵").replace(" ", "␣").replace("$", r"\$") or "∅"


def live_plot(
    records: Iterable[StepMetrics], total: int, baseline: dict[str, float] | None = None, every_seconds: float = 2.0
) -> Iterator[StepMetrics]:
    """Redraw the loss curve in a notebook as the run goes on; the last state stays on the page."""
    from IPython.display import display

    from minigpt.notebook import plots

    seen: list[StepMetrics] = []
    handle = display(display_id=True)
    drawn_at = -math.inf

    def draw() -> None:
        last = seen[-1]
        speed = f"{last.tokens_per_second:,.0f} tokens per second"
        title = f"step {last.step:,} of {total:,}, {speed}, {last.seconds:.0f} s\n{_describe_use(last)}".strip()
        handle.update(plots.loss_curves({"this run": seen}, baseline, title))

    try:
        for record in records:
            seen.append(record)
            if time.monotonic() - drawn_at >= every_seconds:
                draw()
                drawn_at = time.monotonic()
            yield record
    finally:
        if seen:
            draw()


def _describe_use(record: StepMetrics) -> str:
    """Say what a step took from the machine, as far as it was measured."""
    measured = {
        "processor {:.0f} %": record.cpu_percent,
        "memory {:,.0f} MB": record.memory_mb,
        "GPU {:.0f} %": record.gpu_percent,
        "GPU memory {:,.0f} MB": record.gpu_memory_mb,
    }
    return ", ".join(text.format(value) for text, value in measured.items() if value is not None)


def plot_comparison(run: Comparison) -> Figure:
    """Draw the run's two curves over the bands: dark is where the reference runs lay, light the room around it."""
    drawing, panels = plots.new_figure(width=6.8, height=3.0, columns=2, sharey=True)
    steps = run.reference_band.steps
    for axes, (quantity, title) in zip(panels, CURVES.items(), strict=True):
        band = run.reference_band.bands[quantity]
        low = [value - room for value, room in zip(band.lowest, band.tolerance, strict=True)]
        high = [value + room for value, room in zip(band.highest, band.tolerance, strict=True)]
        axes.fill_between(steps, low, high, color=plots.COLORS[0], alpha=0.15, linewidth=0, label="room")
        axes.fill_between(steps, band.lowest, band.highest, color=plots.COLORS[0], alpha=0.5, label="reference runs")
        own = [(step, value) for step, value in zip(steps, run.own[quantity], strict=True) if value is not None]
        axes.plot(*zip(*own, strict=True), color=plots.COLORS[1], marker="o", markersize=3, label="this run")
        axes.set(xlabel="step", title=title)
    panels[0].set(ylabel="loss (nats per token)")
    panels[1].legend(fontsize=8)
    return drawing
