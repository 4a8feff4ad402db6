"""A run beside its reference band: where each of its curves lies, and by how much it deviates."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from minigpt.checkpoint.run_log import StepMetrics
from minigpt.notebook.check_run.reference import ReferenceBand, Summary, summarise

CURVES = {"training_loss": "training loss", "validation_loss": "validation loss"}


@dataclass
class Comparison:
    """A run beside its reference_band, interval by interval; `dropout` is the run's own rate, if it is known."""

    records: Sequence[StepMetrics]
    reference_band: ReferenceBand
    dropout: float | None = None
    own: Summary = field(init=False)

    def __post_init__(self) -> None:
        self.own = summarise(self.records, self.reference_band.steps)

    def deviation(self, quantity: str) -> list[float]:
        """Return how far a quantity lies above the band and its room, in nats; below is negative, inside is 0."""
        band = self.reference_band.bands[quantity]
        places = zip(self.own[quantity], band.lowest, band.highest, band.tolerance, strict=True)
        return [
            max(0.0, own - high - room) + min(0.0, own - low + room)
            for own, low, high, room in places
            if own is not None
        ]

    def verdict(self, quantity: str) -> str:
        """Return where a curve lies at its end, or in most of its intervals: above, below, inside, or unknown."""
        off = self.deviation(quantity)
        if not off:
            return "unknown"
        late = off[-max(1, len(off) // 3) :]
        if all(value > 0 for value in late) or sum(value > 0 for value in off) > len(off) / 2:
            return "above"
        if all(value < 0 for value in late) or sum(value < 0 for value in off) > len(off) / 2:
            return "below"
        return "inside"

    def ratios(self, quantity: str) -> list[float]:
        """Return the run's value over the references' mean for each interval that has both."""
        pairs = zip(self.own[quantity], self.reference_band.bands[quantity].mean, strict=True)
        return [own / mean for own, mean in pairs if own is not None and mean > 0]

    def ratio(self, quantity: str) -> float:
        """Return the median of the ratios, or 1 where nothing is known."""
        return statistics.median(self.ratios(quantity) or [1.0])

    def last_ratio(self, quantity: str) -> float:
        """Return the ratio in the last interval, or 1 where nothing is known."""
        return (self.ratios(quantity) or [1.0])[-1]

    def late_gaps(self) -> dict[int, float]:
        """Return the gaps in the last two thirds of the intervals that have one, by the interval's place."""
        known = [(place, gap) for place, gap in enumerate(self.own["gap"]) if gap is not None]
        return dict(known[len(known) // 3 :])

    def late_gap(self) -> float:
        """Return by how much the gap between validation and training is larger than the references', in nats."""
        mean = self.reference_band.bands["gap"].mean
        return statistics.fmean([gap - mean[place] for place, gap in self.late_gaps().items()] or [0.0])

    def gap_is_large(self) -> bool:
        """Return whether the late gap is beyond the band; a mean over n intervals needs less room, by the root of n."""
        band, places = self.reference_band.bands["gap"], list(self.late_gaps())
        allowed = [
            band.highest[place] - band.mean[place] + band.tolerance[place] / len(places) ** 0.5 for place in places
        ]
        return bool(places) and self.late_gap() > statistics.fmean(allowed)

    def late_fall(self) -> float:
        """Return by how much more than the references the training loss fell in the last third, in nats."""
        own = [value for value in self.own["training_loss"] if value is not None]
        mean = self.reference_band.bands["training_loss"].mean[: len(own)]
        start = len(own) * 2 // 3 - 1
        return (own[start] - own[-1]) - (mean[start] - mean[-1]) if start >= 0 else 0.0

    def jump(self) -> float:
        """Return by how much the training loss ever rose above where it started, in nats."""
        return max(record.loss for record in self.records) - self.records[0].loss
