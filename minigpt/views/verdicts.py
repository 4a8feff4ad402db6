"""Verdicts on changes: whether a few runs with a change differ from runs without it by more than chance does."""

import math
from dataclasses import dataclass
from typing import Any

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


def verdict(variant: Variant, baseline: Variant) -> str:
    """Say whether a change made the loss lower, by a paired t-test."""
    found = difference(variant, baseline)
    if found.word == "too few seeds":
        return f"recorded with {found.count} seed{'s' * (found.count != 1)}, too few to judge"
    if found.word == "no difference":
        return f"no difference that {found.count} seeds can show ({found} nats at 95 %)"
    return f"{found.word} by {abs(found.mean):.4f} ± {found.margin:.4f} nats (95 %)"
