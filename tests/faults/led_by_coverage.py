"""The campaign of parsers: atheris makes files that reach new lines of what reads them; into results/faults/.

Each parser has a process of its own, which stops at the first file that breaks something. atheris comes with
`pip install atheris`, where there is a build of it for this Python; where it is missing, nothing is tried.

python -m tests.faults.led_by_coverage --cases 100000
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.faults.parsers import OUTCOME, targets
from tests.faults.record import FOLDER, Campaign

MOST_BYTES, MOST_SECONDS, MOST_MB = 20_000, 10, 8000  # of one file
COUNTED = re.compile(r"^(?:#|Done )(\d+)\b", re.MULTILINE)  # how atheris says how far it is
REACHED = re.compile(r"cov: (\d+)")


def try_parser(campaign: Campaign, name: str, cases: int) -> None:
    """Look for a file that breaks one parser, in a process and a folder of its own, and count the files it was fed."""
    with tempfile.TemporaryDirectory() as scratch:
        limits = [f"-runs={cases}", f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MB}"]
        command = [sys.executable, "-m", "tests.faults.one_parser", name, "-seed=1", *limits]
        paths = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": scratch}
        done = subprocess.run(command, cwd=scratch, env=os.environ | paths, capture_output=True, errors="replace")
    told = done.stdout + done.stderr
    times = max(map(int, COUNTED.findall(told)), default=1)
    reached = REACHED.findall(told)
    campaign.counts.setdefault("places in the code that were reached", {})[name] = int(reached[-1]) if reached else 0
    campaign.note(f"a {name} made by atheris", OUTCOME, done.returncode == 0, told[-2000:], times)


def main() -> None:
    """Look for files that break a parser, for each of them, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="files for each parser")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if find_spec("atheris") is None:
        print("atheris is not installed, so no parser was tried; pip install atheris.")
        return
    campaign = Campaign("parsers")
    with targets() as found:
        names = list(found)
    for name in names:
        try_parser(campaign, name, arguments.cases)
    campaign.write((), arguments.out)
    sys.exit(campaign.tell())


if __name__ == "__main__":
    main()
