"""How soon minigpt is there: `import minigpt` beyond PyTorch, and `minigpt --help`; each in a fresh process."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from statistics import median

from benchmarks.peers.record import Row
from benchmarks.peers.turns import interleaved
from minigpt.utils.errors import UserError

NAME = "starting"
TORCH = "import torch"
IMPORTS = (
    ("importing minigpt", "import torch, minigpt", "no module of minigpt is loaded before a name is asked for"),
    ("importing all public names", "import torch; from minigpt import *", "all names are loaded, not only promised"),
)


def rows(quick: bool) -> Iterator[Row]:
    """Yield what an import adds to PyTorch's own, in seconds, and how long the help takes."""
    rounds = 3 if quick else 6
    for work, script, same in IMPORTS:
        times = interleaved(partial(run, "-c", script), partial(run, "-c", TORCH), rounds)
        added = median(ours - peer for ours, peer in zip(*times, strict=True))
        yield Row(
            work=work,
            ours=script,
            peer=TORCH,
            same=same,
            times=times,
            value=added,
            unit="s more",
            aim=0.3,
            at_most=True,
        )
    if "selftest" not in run("-m", "minigpt", "--help"):
        raise UserError("minigpt --help does not list the commands; nothing is timed.")
    times = interleaved(partial(run, "-m", "minigpt", "--help"), partial(run, "-c", TORCH), rounds)
    yield Row(
        work="showing the help",
        ours="minigpt --help",
        peer=TORCH,
        same="the help lists every command",
        times=times,
        value=median(times.ours),
        unit="s",
        aim=0.5,
        at_most=True,
    )


def run(*arguments: str) -> str:
    """Run Python in a process of its own and return what it printed."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
