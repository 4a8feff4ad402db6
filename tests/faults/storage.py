"""The campaign of storage: damaged, mixed-up and missing files, full disks, several processes; into results/faults/.

python -m tests.faults.storage --bits 40
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import torch

from tests.faults.crowds import crowd, second_trainer, watched_training
from tests.faults.damage import damaged
from tests.faults.full_disk import can_mount, full_disks, full_for_one_file, read_only
from tests.faults.record import FOLDER, Campaign

MENDED = [
    "Two processes that saved to one folder at once wrote into each other's files, and could leave a mixture under "
    "valid checksums; now they take turns.",
    "A checkpoint that was replaced while it was read could be put together from two saves; now it is read again.",
    "A run that another process was just ending could be resumed from the weights of one save and the state of the "
    "next; now the folder is held while it is read.",
    "Without its config.json, the best checkpoint was silently replaced by the last one; now the file is named.",
    "The trainer's state of another model was accepted, and failed only at the next step; now it is refused.",
    "A folder in place of SHA256SUMS was a traceback; now it is a sentence.",
    "A manifest of shards had no checksum of its own, and neither had the progress of preparing; now both have one.",
    "A manifest of shards could name files in other folders; now a name is only a name.",
    "A damaged shard could hold ids that no token has, which failed inside the model; now it is a sentence, and "
    "`minigpt train` compares shards of up to two gigabytes with their checksums before it begins.",
    "A finished folder of shards on a disk that can only be read could not be asked for again; now it is opened.",
    "A full disk while a tokenizer was saved left half a file in place of the earlier one; now the earlier one stays.",
]


def main() -> None:
    """Break what can be broken, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, default=40, help="turned over in each file")
    parser.add_argument("--seconds", type=float, default=20, help="for which processes save at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    campaign = Campaign("storage")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        crowd(campaign, place / "crowd", arguments.seconds)
        watched_training(campaign, place / "watched", arguments.seconds)
        second_trainer(campaign, place / "second")
        if can_mount(place):
            full_disks(campaign, place / "full", range(4, 200, 12))
            full_for_one_file(campaign, place / "one")
            read_only(campaign, place / "read")
        else:
            print("No disk can be mounted here, so full ones and those that can only be read are left to the tests.")
        damaged(campaign, place / "damaged", random.Random(arguments.seed), arguments.bits)
    campaign.write(MENDED, arguments.out)
    sys.exit(campaign.tell())


if __name__ == "__main__":
    main()
