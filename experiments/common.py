"""What the experiments share: a grid of settings, runs that survive a kill, several at a time, and their record.

A run is known by its settings: a dict of what is varied, its seed, and the flags of the call. An experiment says what
is varied, how one run is taken, and where in the record its result stands; `main` does the rest. A run that the record
holds is not taken again. Every other one has a folder below `runs/`, where it goes on after a kill; with `--jobs 2`
two are under way at a time, each in a process of its own with one core. The record is written after each run.
"""

import argparse
import hashlib
import importlib
import itertools
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from minigpt.utils.errors import UserError
from minigpt.utils.files import atomic_write_text, exclusive_lock, read_json
from minigpt.utils.machine import environment_info

ROOT = Path(__file__).parent.parent
RESULTS, RUNS = ROOT / "results", ROOT / "runs" / "experiments"
ONE_CORE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
Settings = dict[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is varied, one run, and what is written; `place` are the keys that lead to the result of a run.

    If the last key of `place` names no setting, as in ("rows",), a list stands there, whose rows hold the settings,
    too. Where several calls share a file, `part` is the key under which all that one of them writes stands.
    """

    record: str  # its file in results/
    varied: list[Settings]  # the cells; each is taken with every seed
    run: Callable[[Settings, Path], Result]  # takes one run, in a folder of its own; it stands in its module as `run`
    place: tuple[str, ...]  # such as ("runs", "{kind}", "{seed}")
    about: Callable[[Settings], Result]  # what the record says about all its runs
    seeds: Sequence[int] = ()
    flags: Settings = field(default_factory=dict)  # further settings with their usual values, the same in all runs
    tiny: Settings = field(default_factory=dict)  # and in a miniature
    metrics: Mapping[str, Callable[[Result], float | None]] = field(default_factory=dict)  # what the summary compares
    baseline: Settings = field(default_factory=dict)  # the cell that the others are compared with, seed by seed
    part: str | None = None
    keep: Callable[[Settings, Path, Path], None] | None = None  # (settings, folder of the run, path of the record)
    finish: Callable[[Result, Settings], None] | None = None  # completes the record before it is written

    @property
    def values(self) -> dict[str, list[Any]]:
        """What is varied, with its values."""
        return {name: list(dict.fromkeys(cell[name] for cell in self.varied)) for name in self.varied[0]}


def grid(**values: Iterable[Any]) -> list[Settings]:
    """Return every combination of the values: `grid(depth=[1, 2], width=[8, 16])` has four cells."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def run_id(settings: Settings) -> str:
    """Return the name of a run's folder: words to know it by, and a checksum of its settings."""
    checksum = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]
    shown = [str(settings[name]) for name in sorted(settings) if not isinstance(settings[name], bool)]
    words = re.sub(r"\W+", "-", " ".join(shown))
    return f"{words.strip('-')[:60]}-{checksum}"


def take(module: str, runs: list[Settings], work: Path, jobs: int) -> Iterator[Result]:
    """Yield the results of runs in their order, `jobs` of them under way at a time; each has a folder in `work`.

    A result that a killed call has left there is read, and what it left half done is gone on with.

    Raises:
        UserError: a run in another process has failed.
    """
    folders = [(work / run_id(settings)).resolve() for settings in runs]
    if jobs <= 1:
        yield from map(_take_here, itertools.repeat(module), runs, folders)
        return
    with ThreadPoolExecutor(jobs) as pool:  # each thread waits for one process
        try:
            yield from pool.map(_take_apart, itertools.repeat(module), runs, folders)
        finally:
            pool.shutdown(cancel_futures=True)


def _take_here(module: str, settings: Settings, folder: Path) -> Result:
    """Take a run in this process, unless its folder holds its result."""
    path = folder / "result.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps(importlib.import_module(module).run(settings, folder)))
    return read_json(path)


def _take_apart(module: str, settings: Settings, folder: Path) -> Result:
    """Take a run in a process of its own, which ends when this one does."""
    command = [sys.executable, "-m", "experiments.common", module, json.dumps(settings), str(folder)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | ONE_CORE, stdin=subprocess.PIPE) as process:
        status = process.wait()
    if status != 0:
        raise UserError(f"The run in {folder} has failed with status {status}; what it said stands above.")
    return read_json(folder / "result.json")


def _exit_with_parent() -> None:
    """End this process when the one that started it is gone, and with it the other end of the pipe."""
    os.read(0, 1)
    os._exit(1)


class Record:
    """The results of an experiment in a JSON file."""

    def __init__(self, path: Path, experiment: Experiment, flags: Settings) -> None:
        self.path = path
        self.experiment = experiment
        self.file = read_json(path) if path.exists() else {}
        part = experiment.part and experiment.part.format(**flags)
        self.content: Result = self.file.setdefault(part, {}) if part else self.file
        self.has_rows = "{" not in experiment.place[-1]

    def describe(self, about: Result) -> None:
        """Put in what holds for all runs.

        Raises:
            UserError: the file holds runs of which something else is true.
        """
        _join(self.content, json.loads(json.dumps(about)), self.path)

    def by_seed(self, settings: Settings) -> dict[str, Result]:
        """Return the results of a cell by seed; where there are no seeds, its only one under the empty text."""
        *above, last = self.experiment.place
        node: Any = self.content
        for key in (*above, last) if self.has_rows else above:
            node = node.get(key.format(**settings), {})
        if self.has_rows:
            rows = [row for row in node if all(row.get(name) == settings[name] for name in self.experiment.values)]
            return {str(row.get("seed", "")): row for row in rows}
        if last == "{seed}":
            return node
        return {"": node[last.format(**settings)]} if last.format(**settings) in node else {}

    def get(self, settings: Settings) -> Result | None:
        """Return the result of a run, or None if it is not there."""
        return self.by_seed(settings).get(str(settings.get("seed", "")))

    def put(self, settings: Settings, result: Result) -> None:
        """Add the result of a run."""
        *above, last = (key.format(**settings) for key in self.experiment.place)
        node = self.content
        for key in above:
            node = node.setdefault(key, {})
        if self.has_rows:
            own = {name: settings[name] for name in (*self.experiment.values, "seed") if name in settings}
            node.setdefault(last, []).append(own | result)
        else:
            node[last] = result

    def write(self, flags: Settings) -> None:
        """Write the file, with the machine, its versions, the commit, the date, and the summary of the runs."""
        self.content["machine"] = environment_info()
        if self.experiment.metrics:
            self.content["summary"] = self.content.get("summary", {}) | _summary(self, flags)
        if self.experiment.finish:
            self.experiment.finish(self.content, flags)
        write_record(self.path, self.file)


def write_record(path: Path, content: Result) -> None:
    """Write a record in one step: readable, with lists of numbers on one line."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    text = re.sub(r'\[\n\s+([^\[\]{}"]*?)\s*\]', lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, text + "\n")


def _join(old: Result, new: Result, path: Path, above: str = "") -> None:
    """Add what is new to a description, at every depth; what both tell must be the same, but for notes."""
    for key, value in new.items():
        known = old.get(key, value)
        if isinstance(known, dict) and isinstance(value, dict) and key in old:
            _join(known, value, path, f"{above}{key}.")
        elif known != value and key not in ("machine", "note"):
            told = f"{above}{key} = {json.dumps(known)}, not {json.dumps(value)}"
            raise UserError(f"{path} holds runs with {told}; choose another file with --output.")
        else:
            old[key] = value


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the mean and the standard deviation of a few runs."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 4), "deviation": round(deviation, 4)}


def interval(values: Sequence[float]) -> dict[str, float | None]:
    """Return the mean, half its 95 % interval by Student's t (None for a single value), and the number of values."""
    n = len(values)
    margin = student_t(n) * statistics.stdev(values) / math.sqrt(n) if n > 1 else None
    return {"mean": round(statistics.mean(values), 4), "interval": margin and round(margin, 4), "n": n}


def student_t(n: int) -> float:
    """Return how many standard errors the 95 % interval of a mean of `n` values reaches to each side."""
    z, degrees = 1.959964, n - 1  # beyond the table: the first terms of the expansion in 1 / degrees
    series = (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    return T_95.get(n, z + series)


def _summary(record: Record, flags: Settings) -> Result:
    """Return for each cell the mean of each metric and, over the seeds that both have, of its lead on the baseline."""
    experiment, summary = record.experiment, {}
    for cell in experiment.varied:
        runs = record.by_seed(cell | flags)
        rivals = record.by_seed(cell | experiment.baseline | flags) if experiment.baseline else {}
        found = {}
        for name, metric in experiment.metrics.items():
            values = {seed: metric(run) for seed, run in runs.items()}
            pairs = [(value, metric(rivals[seed])) for seed, value in values.items() if seed in rivals]
            known = [value for value in values.values() if value is not None]
            differences = [mine - other for mine, other in pairs if mine is not None and other is not None]
            found |= {name: interval(known)} if known else {}
            if differences and cell != cell | experiment.baseline:
                against = ", ".join(map(str, experiment.baseline.values()))
                found[f"{name} minus that of {against}"] = interval(differences)
        shown = cell | {name: value for name, value in flags.items() if f"{{{name}}}" in experiment.place}
        summary |= {", ".join(map(str, shown.values())): found}
    return {name: found for name, found in summary.items() if found}


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the flags that every experiment has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", "--out", type=Path, help="the record (usually in results/)")
    parser.add_argument("--tiny", action="store_true", help="a miniature, in seconds; its record goes to runs/")
    return parser


def output_of(asked: argparse.Namespace, record: str) -> Path:
    """Return where a record goes: never to the real ones from a miniature."""
    return asked.output or (RUNS / "tiny" if asked.tiny else RESULTS) / record


def _parser(experiment: Experiment, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of an experiment: each thing that is varied is a flag that chooses among its values."""
    parser = parser_of(description)
    parser.add_argument("--jobs", type=int, default=1, help="runs under way at a time, each on one core")
    parser.add_argument("--work", type=Path, help="where the runs keep their checkpoints")
    if experiment.seeds:
        parser.add_argument("--seeds", type=int, nargs="+", default=experiment.seeds)
    for name, values in experiment.values.items():
        flag = f"--{name}".replace("_", "-")
        parser.add_argument(
            flag, f"{flag}s", dest=name, type=type(values[0]), nargs="+", choices=values, default=values
        )
    for name, value in experiment.flags.items():
        parser.add_argument(f"--{name}".replace("_", "-"), type=type(value), help=f"usually {value}")
    return parser


def main(experiment: Experiment, arguments: list[str] | None = None) -> Path:
    """Take the runs that the record lacks, with one seed after another; write it after each, and return its path."""
    module = sys.modules[experiment.run.__module__]
    asked = vars(parsed := _parser(experiment, module.__doc__).parse_args(arguments))
    usual = experiment.flags | (experiment.tiny if parsed.tiny else {})
    flags = {name: value if asked[name] is None else asked[name] for name, value in usual.items()}
    flags |= {"tiny": parsed.tiny}
    cells = [cell for cell in experiment.varied if all(cell[name] in asked[name] for name in cell)]
    seeds = [{"seed": seed} for seed in parsed.seeds] if experiment.seeds else [{}]
    work = parsed.work or RUNS / module.__spec__.name.rpartition(".")[2]
    path = output_of(parsed, experiment.record)
    torch.set_num_threads(1)
    with exclusive_lock(work, "taking the runs in"):
        record = Record(path, experiment, flags)
        record.describe(experiment.about(flags))
        runs = [cell | seed | flags for seed in seeds for cell in cells]
        runs = [settings for settings in runs if record.get(settings) is None]
        for settings, result in zip(runs, take(module.__spec__.name, runs, work, parsed.jobs), strict=True):
            record.put(settings, result)
            if experiment.keep:
                experiment.keep(settings, work / run_id(settings), path)
            record.write(flags)
            shutil.rmtree(work / run_id(settings))
            _tell(experiment, settings, result)
    return path


def _tell(experiment: Experiment, settings: Settings, result: Result) -> None:
    """Print what a run has given."""
    which = [f"seed {settings['seed']}"] if experiment.seeds else []
    which += [str(settings[name]) for name in experiment.values]
    found = {name: metric(result) for name, metric in experiment.metrics.items()} or result
    told = [f"{name} {value}" for name, value in found.items() if isinstance(value, int | float | str)]
    print(f"{', '.join(which)}: {', '.join(told)}", flush=True)


if __name__ == "__main__":
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        _take_here(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
    except UserError as error:
        sys.exit(str(error))
