"""The same run under the real `torchrun`: one of its two processes is killed, and the command is given again."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.faults.killed_training import Killing
from tests.faults.record import Campaign
from tests.faults.sameness import is_tidy, of_run

FAULT = "a kill of one of two processes under torchrun"
OUTCOME = "torchrun ends, and the run that went on equals the one left alone, to the bit"
ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "minigpt")


def killed_torchrun(campaign: Campaign, place: Path, dice: random.Random, kills: int) -> None:
    """Kill one of the processes so many times, each time in a run that has begun to train, then let it end."""
    killing = Killing(place, dice)
    if launch(killing, place / "alone") != 0:
        raise RuntimeError("torchrun fails by itself.")
    expected, run = of_run(place / "alone"), place / "killed"
    codes = [launch(killing, run, dice.uniform(0, 0.5), dice) for _ in range(kills)]
    same = launch(killing, run) == 0 and of_run(run) == expected and is_tidy(run)
    for code in codes:
        campaign.note(FAULT, OUTCOME, same and code != 0, f"exit codes {codes}")


def launch(killing: Killing, run: Path, moment: float | None = None, dice: random.Random | None = None) -> int:
    """Run the command under torchrun; `moment` seconds after it has begun to train, kill one of the two processes."""
    log = run / "log.jsonl"
    before = log.stat().st_size if log.exists() else 0
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *TORCHRUN, *killing.arguments(run)]
    with (
        killing.output.open("w", encoding="utf-8") as file,
        subprocess.Popen(command, env=environment, stdout=file, stderr=file) as done,
    ):
        if moment is not None:
            while done.poll() is None and (not log.exists() or log.stat().st_size == before):
                time.sleep(0.005)
            time.sleep(moment)
            workers = psutil.Process(done.pid).children() if done.poll() is None else []
            if workers:
                dice.choice(workers).kill()
        return done.wait(timeout=600)
