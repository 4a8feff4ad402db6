"""The book's runs on a GPU, one after the other in one call; the records go to results/.

    python -m experiments.gpu.run
    python -m experiments.gpu.run --only memorise foundation --minutes memorise=6 foundation=2
    python -m experiments.gpu.run --tiny --out FOLDER --work FOLDER

Four parts, in this order: GPT-2 (124M) learns the plays by heart, until its training loss is below 0.1; GPT-2 Small
(134M) reads the corpus foundation for as long as its minutes last; the tokens per second of GPT-2 at a context of
1,024, with and without torch.compile; and the kernels for attention beside one another. They stand in
`training.py` and `speed.py`.

Everything is saved as it goes, and another call goes on where the last one ended: what is done is not done again. A
part that fails is recorded with its reason, and the next one begins. `--tiny` does all of it in seconds on a CPU.
"""

import time
import traceback
from pathlib import Path
from typing import Any

from experiments.common import RESULTS, RUNS, Result, parser_of, write_record
from experiments.gpu.common import FULL, MINIATURE, Part
from experiments.gpu.speed import attention, throughput
from experiments.gpu.training import memorise, read_foundation
from minigpt.utils.files import read_json
from minigpt.utils.machine import environment_info

PARTS = {"memorise": memorise, "foundation": read_foundation, "throughput": throughput, "attention": attention}
MINUTES = {"memorise": 12.0, "foundation": 10.0, "throughput": 4.0, "attention": 2.0}


class Records:
    """What each part has found so far: a JSON file, written anew after every change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "gpu.json"
        self.parts: Result = read_json(self.path)["parts"] if self.path.exists() else {}
        self.machine = environment_info()

    def of(self, name: str) -> dict[str, Any]:
        """Return a part's entry, empty if there is none yet."""
        return self.parts.get(name, {})

    def put(self, name: str, **values: Any) -> None:
        """Add values to a part's entry, with the machine that they were found on."""
        self.parts[name] = self.of(name) | values | {"machine": self.machine}
        write_record(self.path, {"parts": self.parts})


def read_minutes(texts: list[str]) -> dict[str, float]:
    """Return the minutes of each part: those that are given as NAME=MINUTES, and the usual ones for the others."""
    minutes = dict(MINUTES)
    for text in texts:
        name, _, number = text.partition("=")
        try:
            minutes[name] = float(number)
        except ValueError:
            raise SystemExit(f"--minutes {text} is not NAME=MINUTES, such as memorise=5.") from None
        if name not in MINUTES:
            raise SystemExit(f"--minutes {text} names no part; the parts are {', '.join(MINUTES)}.")
    return minutes


def main(arguments: list[str] | None = None) -> None:
    """Take all parts that are not done yet, each within its minutes."""
    parser = parser_of(__doc__)
    parser.add_argument("--work", type=Path, default=RUNS / "gpu", help="where the runs keep their checkpoints")
    parser.add_argument("--minutes", nargs="+", default=[], metavar="NAME=MINUTES", help=f"by default {MINUTES}")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="leave the others out")
    parser.add_argument("--device", help="cpu, cuda or mps; the fastest there is if unset")
    parser.add_argument("--compile", action="store_true", help="compile the models of the first two parts, too")
    chosen = parser.parse_args(arguments)
    minutes = read_minutes(chosen.minutes)
    records = Records(chosen.output or (RUNS / "tiny" if chosen.tiny else RESULTS))
    sizes = MINIATURE if chosen.tiny else FULL
    for name, work in PARTS.items():
        if name not in chosen.only or records.of(name).get("status") == "done":
            continue
        until = time.monotonic() + 60 * minutes[name]
        started = time.monotonic()
        try:
            work(Part(name, sizes, records, chosen.work, until, chosen.device, chosen.compile))
        except Exception as error:
            traceback.print_exc()
            records.put(name, status="failed", reason=f"{type(error).__name__}: {error}")
        print(f"{name}: {records.of(name)['status']} after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
