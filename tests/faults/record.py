"""What a fault campaign tried and what came of it, as a record in `results/faults/`.

All campaigns write the same form: the machine, a list `tried` with one entry for each kind of fault, and a list
`mended` of what broke on the way and was mended, in words.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minigpt.utils.machine import environment_info

FOLDER = Path(__file__).parents[2] / "results" / "faults"


@dataclass
class Tried:
    """One kind of fault: how often it was tried, what should come of it, and how often that came."""

    fault: str
    outcome: str
    times: int = 0
    held: int = 0


@dataclass
class Campaign:
    """All that one campaign tried; `counts` adds numbers that are worth keeping beside."""

    name: str
    tried: dict[tuple[str, str], Tried] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def note(self, fault: str, outcome: str, held: bool, where: str = "", times: int = 1) -> None:
        """Count one trial of a fault, or several of which no more than one did not hold; `where` says which one."""
        entry = self.tried.setdefault((fault, outcome), Tried(fault, outcome))
        entry.times += times
        entry.held += times - (not held)
        if not held:
            self.failures.append(f"{fault}: {where or 'not'} {outcome}")

    @property
    def times(self) -> int:
        """How many faults were tried in all."""
        return sum(entry.times for entry in self.tried.values())

    @property
    def held(self) -> int:
        """How many of them came out as they should."""
        return sum(entry.held for entry in self.tried.values())

    def write(self, mended: Iterable[str] = (), folder: Path = FOLDER) -> Path:
        """Write the record and return its path."""
        values = {
            "machine": environment_info(),
            "tried": [asdict(entry) for entry in self.tried.values()],
            "mended": list(mended),
            **self.counts,
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def tell(self) -> int:
        """Print what was found, the failures in full; return the exit code of a driver."""
        for entry in self.tried.values():
            print(f"{entry.held:6,} of {entry.times:6,}  {entry.fault}: {entry.outcome}")
        for failure in self.failures:
            print(f"FAILED  {failure}")
        print(f"{self.name}: {self.held:,} of {self.times:,} held.")
        return int(self.held < self.times)
