"""Training that is killed: by one process or by two, at any moment and in the middle of saves, until it is done."""

import contextlib
import io
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minigpt import checkpoint, cli
from minigpt.training.trainer import Trainer
from tests.faults.processes import Death, Phase, poll, start
from tests.faults.record import Campaign
from tests.faults.sameness import is_tidy, of_run

TEXT = "a small model reads a small text\nagain and again, until it can tell what comes next.\n" * 4
PRESET = """{
  "model": {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8, "dropout": 0.1},
  "training": {"max_steps": 24, "batch_size": 8, "grad_accum_steps": 3, "eval_every": 7, "eval_sequences": 4,
               "save_every": 5, "sample_every": 20, "sample_tokens": 5, "warmup_steps": 10}
}"""
EQUAL = "the run that went on equals the one left alone, to the bit"
LOADS = "the newest complete checkpoint loads"
CLEAN = "nothing temporary is left"
WAYS = {
    "a kill at any moment": {},
    "a kill at a call of the file system": {"calls": True},
    "the power cut at a call of the file system": {"calls": True, "power": True},
}


@dataclass
class Killing:
    """A small training run in a folder of texts and presets, and how it is killed."""

    place: Path
    dice: random.Random
    processes: int = 1

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "text.txt").write_text(TEXT, encoding="utf-8")
        (self.place / "nano.json").write_text(PRESET, encoding="utf-8")
        self.output = self.place / "output.txt"
        self.phase = Phase()
        self.fell: Counter[str] = Counter()
        self.expected: dict[str, str] = {}
        self.seconds = 0.0
        self.runs = 0

    def arguments(self, run: Path) -> list[str]:
        """Return the command line that begins the run, or goes on with it."""
        text, preset = str(self.place / "text.txt"), str(self.place / "nano.json")
        resume = ["--resume"] if (run / "log.jsonl").exists() else []
        return ["train", "--preset", preset, "--text", text, "--device", "cpu", "--out", str(run), *resume]

    def begin(self, run: Path, death: Death | None = None) -> list[int]:
        """Begin the processes of the run; the first of them may kill itself."""
        arguments, port = self.arguments(run), free_port()
        self.phase.shared[0] = 0
        return [
            start(self.action(arguments, rank, port), self.output, None if rank else death)
            for rank in range(self.processes)
        ]

    def action(self, arguments: list[str], rank: int, port: int) -> Callable[[], None]:
        """Return what one process does: what `torchrun` has its processes do, if there are several."""

        def act() -> None:
            if self.processes > 1:
                os.environ |= {"WORLD_SIZE": str(self.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(self.processes)}
            for name, phase in (("train_step", "step"), ("validate", "evaluation"), ("sample", "sample")):
                setattr(Trainer, name, self.phase.during(phase, getattr(Trainer, name)))
            checkpoint.save = self.phase.during("save", checkpoint.save)
            sys.argv = ["minigpt", *arguments]
            cli.main()

        return act

    def end(self, processes: list[int], within: float) -> list[int]:
        """Wait until one ends badly, or kill one when the time is up; who is left is killed, as `torchrun` does."""
        deadline, left = time.monotonic() + within, list(processes)
        codes: dict[int, int] = {}
        self.dice.shuffle(left)
        while left:
            codes |= {process: code for process in left if (code := poll(process)) is not None}
            left = [process for process in left if process not in codes]
            if left and (any(codes.values()) or time.monotonic() > deadline):
                os.kill(left[0], signal.SIGKILL)
            time.sleep(0.001)
        return [codes[process] for process in processes]

    def alone(self) -> tuple[dict[str, str], float]:
        """Return what the run left alone comes to, and how many seconds it takes."""
        if not self.expected:
            warm_up(self.arguments(self.place / "warm"))
            began = time.monotonic()
            codes = self.end(self.begin(self.place / "alone"), within=300)
            if any(codes):
                raise RuntimeError(f"The run ends with {codes} by itself:\n{self.output.read_text('utf-8')}")
            self.expected, self.seconds = of_run(self.place / "alone"), time.monotonic() - began
        return self.expected, self.seconds

    def try_to_break(
        self, campaign: Campaign, fault: str, kills: int, calls: bool = False, power: bool = False
    ) -> None:
        """Kill the run so many times, over as many runs as that takes, and note what comes of each."""
        expected, seconds = self.alone()
        killed = 0
        while killed < kills:
            run, here = self.place / f"killed{self.runs}", 0
            while True:
                enough = killed + here >= kills
                death = Death(self.dice.randrange(1, 250), power, run) if calls and not enough else None
                within = self.dice.uniform(0, 0.6 * seconds) if not calls and not enough else 300.0
                codes = self.end(self.begin(run, death), within)
                if not any(codes):
                    break
                if -signal.SIGKILL not in codes:
                    campaign.note(
                        fault,
                        EQUAL,
                        False,
                        f"run {self.runs} failed by itself: {self.output.read_text('utf-8')[-900:]}",
                    )
                    return
                here += 1
                self.fell[self.phase.now] += 1
                self.look(campaign, run)
            same = of_run(run) == expected
            for _ in range(here):
                campaign.note(fault, EQUAL, same, f"run {self.runs} after {here} kills")
            found = sorted(path.name for path in run.iterdir())
            campaign.note("a run after its last kill", CLEAN, is_tidy(run), f"{found}")
            killed, self.runs = killed + here, self.runs + 1

    def look(self, campaign: Campaign, run: Path) -> None:
        """Load what there is after a kill."""
        if (run / "best").exists() or (run / "last").exists():
            try:
                checkpoint.load(run)
                held, found = True, ""
            except Exception as error:
                held, found = False, repr(error)
            campaign.note("a look between a kill and the next start", LOADS, held, found)


def warm_up(arguments: list[str]) -> None:
    """Run the command here once, so that a fork finds everything imported."""
    sys.argv = ["minigpt", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        cli.main()


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
