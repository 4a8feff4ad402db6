"""The campaign of kills: training, preparing and downloading are killed again and again; into results/faults/.

Everything is seeded, but for what a kill falls into after so many seconds, which the machine decides.

python -m tests.faults.kills --kills 100
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

from tests.faults.killed_files import killed_downloads, killed_preparing
from tests.faults.killed_training import WAYS, Killing
from tests.faults.record import FOLDER, Campaign
from tests.faults.torchrun import killed_torchrun

MENDED = [
    "The log of a run was not flushed before the checkpoint that continues it, so that a power cut could leave a gap; "
    "now it is.",
    "A run killed between its first checkpoint and its log said nothing of what to do; now it says to start again.",
    "A power cut while shards were prepared could leave an empty tokenizer.json in a folder that was otherwise "
    "finished; now it is written in one step.",
    "Preparing that was killed while it noted its progress could leave a draft in the finished folder; now the next "
    "run clears it away.",
    "A download that was killed left an empty file in the cache each time; now the part that is continued is all that "
    "is left.",
    "Two processes that fetched the same file wrote into one; now the second one is told.",
    "The test of kills compared runs of one thread with one of two, whose sums differ in their last bits, and so "
    "failed wherever two threads were allowed; now both have one.",
    "A run in two processes without a GPU hung now and then after its last step, since PyTorch's DDP, when it was the "
    "last to let go of the group of processes, waited for a thread that waited for the interpreter; now the group is "
    "kept to the end.",
]


def main() -> None:
    """Kill what can be killed, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of training, in all; as many of the rest, together")
    parser.add_argument("--torchrun", type=int, default=4, help="how many of a whole torchrun, which take longer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    campaign, dice, fell = Campaign("kills"), random.Random(arguments.seed), Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for processes, share in ((1, 0.8), (2, 0.2)):
            killing = Killing(Path(scratch) / f"{processes}", dice, processes)
            for name, how in WAYS.items():
                fault = name if processes == 1 else f"{name}, in one of two processes"
                killing.try_to_break(campaign, fault, max(1, round(share * arguments.kills / len(WAYS))), **how)
                print(f"{fault}: done", flush=True)
            fell += killing.fell
        killed_preparing(campaign, Path(scratch) / "shards", dice, arguments.kills // 2)
        killed_downloads(campaign, Path(scratch) / "downloads", dice, arguments.kills // 2)
        campaign.counts["kills of training fell into"] = dict(sorted(fell.items()))
        campaign.write(MENDED, arguments.out)  # what follows takes as long as all this
        if arguments.torchrun:
            killed_torchrun(campaign, Path(scratch) / "torchrun", dice, arguments.torchrun)
    campaign.write(MENDED, arguments.out)
    sys.exit(campaign.tell())


if __name__ == "__main__":
    main()
