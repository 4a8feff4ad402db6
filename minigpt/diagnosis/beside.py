"""The picture of a run beside its envelope."""

from matplotlib.figure import Figure

from minigpt import plots
from minigpt.diagnosis.comparison import CURVES, Comparison


def draw_beside(run: Comparison) -> Figure:
    """Draw the run's two curves over the bands: dark is where the reference runs lay, light the room around it."""
    drawing, panels = plots.figure(width=6.8, height=3.0, columns=2, sharey=True)
    steps = run.envelope.steps
    for axes, (quantity, title) in zip(panels, CURVES.items(), strict=True):
        band = run.envelope.bands[quantity]
        low = [value - room for value, room in zip(band.lowest, band.room, strict=True)]
        high = [value + room for value, room in zip(band.highest, band.room, strict=True)]
        axes.fill_between(steps, low, high, color=plots.COLOURS[0], alpha=0.15, linewidth=0, label="room")
        axes.fill_between(steps, band.lowest, band.highest, color=plots.COLOURS[0], alpha=0.5, label="reference runs")
        own = [(step, value) for step, value in zip(steps, run.own[quantity], strict=True) if value is not None]
        axes.plot(*zip(*own, strict=True), color=plots.COLOURS[1], marker="o", markersize=3, label="this run")
        axes.set(xlabel="step", title=title)
    panels[0].set(ylabel="loss (nats per token)")
    panels[1].legend(fontsize=8)
    return drawing
