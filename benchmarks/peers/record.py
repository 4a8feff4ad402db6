"""The record of a case: what was compared, on which machine, and how it came out."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.peers.turns import Turns
from minigpt.utils.files import atomic_write_text
from minigpt.utils.machine import environment_info

FOLDER = Path(__file__).parents[2] / "results" / "benchmarks"
PACKAGES = ("torch", "transformers", "tokenizers", "tiktoken")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison: the work, what does it here and there, the times, and the aim.

    `value` is the figure that the aim speaks of, in `unit`; if it is unset, that is the ratio of the times.
    `same` says what was found equal before anything was timed, and how near; `details` holds whatever else is known.
    """

    work: str
    ours: str
    peer: str
    same: str
    times: Turns | None = None
    aim: float | None = None
    at_most: bool = False
    value: float | None = None
    unit: str = "×"
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def figure(self) -> float:
        """The figure that the aim speaks of."""
        return self.times.ratio if self.value is None else self.value

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None where there is none."""
        if self.aim is None:
            return None
        return self.figure <= self.aim if self.at_most else self.figure >= self.aim

    def to_dict(self) -> dict[str, Any]:
        """Return the row as it stands in the record, times and ratios with six figures."""
        times = self.times and {side: [rounded(each) for each in found] for side, found in self.times._asdict().items()}
        return {
            "work": self.work,
            "ours": self.ours,
            "peer": self.peer,
            "times": times,
            "ratio": self.times and rounded(self.times.ratio),
            "spread": self.times and [rounded(each) for each in self.times.spread],
            "figure": rounded(self.figure),
            "unit": self.unit,
            "aim": self.aim,
            "at_most": self.at_most,
            "reached": self.reached,
            "same": self.same,
            "details": self.details,
        }


def rounded(value: float) -> float:
    """Return a number with six figures."""
    return float(f"{value:.6g}")


def begin(quick: bool) -> dict[str, Any]:
    """Return the head of a record: the machine, its load at the start, the versions, and whether it is a trial run."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "machine": environment_info() | {"versions": {name: installed(name) for name in PACKAGES}},
        "load_at_start": load if load is None else round(load, 2),
        "quick": quick,
    }


def installed(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_record(name: str, head: dict[str, Any], rows: Iterable[Row], folder: Path = FOLDER) -> Path:
    """Write `NAME.json` in one step, so that an interrupted case leaves the record before it, and return its path."""
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = head | {"rows": [row.to_dict() for row in rows]}
    atomic_write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path
