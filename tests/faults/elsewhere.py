"""The campaign of other places: train, write and measure where little is as it is on the machine of the authors.

With `--python`, the quick tests of what matters run in that environment too, such as one with the oldest PyTorch.

python -m tests.faults.elsewhere --python /path/to/environment/bin/python
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.record import FOLDER, Campaign

ROOT = Path(__file__).parents[2]
TEXT = "naïve 日本 🙂 the cat sat on the mat, again and again.\n" * 20
NANO = {
    "model": {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8},
    "training": {"max_steps": 2, "batch_size": 2, "eval_every": 1, "save_every": 1, "warmup_steps": 0},
}
OUTCOME = "trains, goes on, writes and measures"
TESTED = (
    "model/test_model.py",
    "model/test_attention.py",
    "model/test_layers.py",
    "training/test_trainer.py",
    "checkpoint/test_checkpoint.py",
    "generation/test_generate.py",
    "generation/test_sampling.py",
    "utils/test_config.py",
    "training/test_optim.py",
    "tokenizer/test_tokenizers.py",
)
VERSIONS = "import sys, torch; print(f'Python {sys.version.split()[0]} with PyTorch {torch.__version__}')"
FOUR_COMMANDS = """
import os, sys
from pathlib import Path

import minigpt
from minigpt.cli import main

inside = str(Path(minigpt.__file__).parent.resolve())
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def refuse(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int) and arguments[2] & writing:
        if os.path.abspath(arguments[0]).startswith(inside) and "__pycache__" not in arguments[0]:
            raise PermissionError(f"{arguments[0]} is a part of the package")


sys.addaudithook(refuse)
run = ["--text", "text.txt", "--out", "run"]
for words in (
    ["train", "--preset", "nano.json", *run],
    ["train", "--resume", "--max-steps", "3", *run],
    ["generate", "--checkpoint", "run", "--prompt", "\\u65e5\\u672c", "--max-new-tokens", "9"],
    ["evaluate", "--checkpoint", "run", "--text", "text.txt", "--json", "found.json"],
):
    sys.argv = ["minigpt", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


@dataclass(frozen=True)
class Elsewhere:
    """A place to work in: the name of its folder, and what its environment has, or (with None) lacks."""

    folder: str = "work"
    environment: dict[str, str | None] = field(default_factory=dict)

    def work(self, scratch: Path) -> str:
        """Do four commands there; return what was told of a failure, or nothing."""
        here = scratch / self.folder
        here.mkdir(parents=True)
        (here / "text.txt").write_text(TEXT, encoding="utf-8")
        (here / "nano.json").write_text(json.dumps(NANO), encoding="utf-8")
        changed = {"PYTHONPATH": str(ROOT), **self.environment}
        environment = {name: value for name, value in (os.environ | changed).items() if value is not None}
        (here / "four_commands.py").write_text(FOUR_COMMANDS, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "four_commands.py"], cwd=here, env=environment, capture_output=True, timeout=600
        )
        return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace")[-600:]


PLACES = {
    "a folder with spaces, and letters from three alphabets": Elsewhere("ein Ort, straße/日本 и так"),
    "no home folder": Elsewhere(environment={"HOME": None, "USER": None, "LOGNAME": None, "XDG_CACHE_HOME": None}),
    "a home folder that does not exist": Elsewhere(environment={"HOME": "/nowhere/at/all"}),
    "the locale C, without Python's UTF-8 mode": Elsewhere(
        environment={"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ),
    "output that holds Latin letters only": Elsewhere(environment={"PYTHONIOENCODING": "latin-1"}),
    "one thread": Elsewhere(environment={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}),
    "Python that takes every warning about encodings for an error": Elsewhere(
        environment={"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "error::EncodingWarning:minigpt"}
    ),
}


def try_version(campaign: Campaign, python: str) -> None:
    """Run the quick tests of what matters, and `minigpt selftest`, in another environment."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    named = subprocess.run([python, "-c", VERSIONS], env=environment, capture_output=True, text=True, check=True)
    version = named.stdout.strip()
    tests = [f"tests/{name}" for name in TESTED]
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow and not browser", *tests]
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True).stdout
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error)", told.splitlines()[-1])}
    broken = re.findall(r"^(?:FAILED|ERROR) (\S+)", told, re.MULTILINE)
    for word, count in counts.items():
        for number in range(count):
            campaign.note(version, "the quick tests pass", word == "passed", broken[number] if word != "passed" else "")
    checked = subprocess.run([python, "-m", "minigpt", "selftest"], cwd=ROOT, env=environment, capture_output=True)
    campaign.note(version, "`minigpt selftest` passes", checked.returncode == 0)


def main() -> None:
    """Work in every place, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[], help="of an environment to test in; may be repeated")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    campaign = Campaign("elsewhere")
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, place) in enumerate(PLACES.items()):
            told = place.work(Path(scratch) / str(number))
            campaign.note(name, OUTCOME, held=not told, where=told)
    for python in arguments.python:
        try_version(campaign, python)
    campaign.write(MENDED, arguments.out)
    sys.exit(campaign.tell())


MENDED = [
    "A character that the output cannot hold ended a command in a UnicodeEncodeError; its number is written instead.",
    "A test of batches in pieces was stricter than the sums of PyTorch 2.6 are alike; its tolerance is wider.",
    "A test of how little memory preparing takes counted PyTorch's own, which is over the limit in the builds for a "
    "GPU; it counts what comes on top.",
]

if __name__ == "__main__":
    main()
