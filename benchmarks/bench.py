"""minigpt beside what a reader would otherwise pick, measured in turn; the records go to results/benchmarks/.

    python -m benchmarks.bench [--quick] [--out FOLDER] [CASE ...]

Without a case, all are measured, each in a process of its own. The machine should have nothing else to do.
"""

import argparse
import importlib
import pkgutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from benchmarks import peers
from benchmarks.peers.record import FOLDER, Row, begin, write_record
from minigpt import UserError


def cases() -> dict[str, ModuleType]:
    """Return the modules that hold a case, by the case's name."""
    names = (found.name for found in pkgutil.iter_modules(peers.__path__))
    modules = (importlib.import_module(f"benchmarks.peers.{name}") for name in names)
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def measure(name: str, quick: bool, folder: Path) -> None:
    """Measure one case and write its record once all of its rows are there."""
    head, started = begin(quick), time.perf_counter()
    rows = list(shown(cases()[name].rows(quick)))
    path = write_record(name, head | {"seconds": round(time.perf_counter() - started)}, rows, folder)
    print(f"{name}: written to {path}", flush=True)


def shown(rows: Iterator[Row]) -> Iterator[Row]:
    """Pass rows on, and print each."""
    for row in rows:
        spread = "" if row.times is None else " ({:.3g} to {:.3g})".format(*row.times.spread)
        aim = "" if row.aim is None else f", aim {'≤' if row.at_most else '≥'} {row.aim:g}"
        print(f"{row.work}, beside {row.peer}: {row.figure:.3g} {row.unit}{spread}{aim}; {row.same}", flush=True)
        yield row


def main() -> None:
    """Measure the cases that were named, or all; one that fails leaves its earlier record and does not stop the others.

    The exit status is 1 if any failed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, for a trial")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("case", nargs="*", help=f"any of {', '.join(cases())}")
    arguments = parser.parse_args()
    unknown = set(arguments.case) - set(cases())
    if unknown:
        parser.error(f"there is no case {min(unknown)!r}; choose any of {', '.join(cases())}")
    if len(arguments.case) == 1:
        try:
            measure(arguments.case[0], arguments.quick, arguments.out)
        except UserError as error:
            sys.exit(f"{arguments.case[0]}: {error}")
    else:
        options = ["--out", str(arguments.out), *(["--quick"] if arguments.quick else [])]
        names = arguments.case or list(cases())
        failed = [
            name
            for name in names
            if subprocess.run([sys.executable, "-m", "benchmarks.bench", *options, name]).returncode
        ]
        sys.exit(f"{len(failed)} of {len(names)} cases failed: {', '.join(failed)}." if failed else 0)


if __name__ == "__main__":
    main()
