"""The campaign of input: what hypothesis thinks of, damaged files, mistaken commands, bad attempts.

The cases are those of the tests, many more of them; the properties that they have to keep stand there.

python -m tests.faults.inputs --cases 5000
"""

import argparse
import contextlib
import importlib
import io
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hypothesis import settings

from tests.faults.parsers import try_parsers
from tests.faults.record import FOLDER, Campaign

TESTS = Path(__file__).parents[1]
OUTCOME = "a right answer or one sentence"
REFUSED = "one sentence and exit code 1 or 2, or the work is done where the value fits after all"
TOLD = "a helpful message, in time"
MENDED = [
    "Settings of a sampler that were no numbers raised a TypeError; they are told in a sentence.",
    "A temperature or a penalty of more digits than a tensor can hold raised an OverflowError.",
    "An infinite learning rate or weight decay was accepted.",
    "Infinite logits ended in a RuntimeError; they are told like those that are not numbers.",
    "A vocabulary or a batch of 10²⁵ raised an OverflowError; sizes have a limit now.",
    "Memory that ran out was a traceback of PyTorch's; the command says it in a sentence, with what to do.",
    "A tokenizer.json of others in which a special token is no text was accepted, and failed when it cut a text.",
    "A pattern that finds words without a character made the encoder panic; it is refused.",
    "A tokenizer.json whose pattern passes over some characters was accepted, and lost them in silence; it is refused.",
    "A manifest of shards with a type or a list of another kind raised a TypeError or a KeyError.",
    "A checker waited for ever for a generator without end; it reads so many pieces and no more.",
    "An attempt that catches every exception in a loop outlived its time limit.",
]


def try_inputs(campaign: Campaign, cases: int) -> None:
    """Feed each property so many cases, and count them; of one that breaks, the smallest case is told."""
    for test in properties(cases):
        ran, broken = fed(test)
        title = test.__name__.removeprefix("test_").replace("_", " ")
        campaign.note(title, OUTCOME, not broken, broken, times=ran)


def properties(cases: int) -> Iterator[Callable[[], None]]:
    """Yield the tests that hypothesis feeds, each of which will be fed so many cases."""
    settings.register_profile("faults", deadline=None, max_examples=cases, database=None)
    settings.load_profile("faults")  # before the tests are read, which then take it up
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    made = importlib.import_module("tests.faults.test_input")
    return (test for test in vars(made).values() if hasattr(test, "hypothesis"))


def fed(test: Any) -> tuple[int, str]:
    """Run a property, and return how many cases it saw and what broke it, if anything did."""
    inner = test.hypothesis.inner_test
    ran = 0

    def counted(*arguments: object, **named: object) -> None:
        nonlocal ran
        ran += 1
        inner(*arguments, **named)

    test.hypothesis.inner_test = counted
    try:
        test()
    except Exception as error:
        notes = " ".join(getattr(error, "__notes__", []))
        return ran, f"{type(error).__name__}: {error} {notes}"[:2000]
    return ran, ""


def try_commands(campaign: Campaign, folder: Path, most: int | None) -> None:
    """Run mistaken command lines, all of them or some, in this process."""
    made = importlib.import_module("mistakes")
    places = made.make_places(folder)
    mistaken = list(made.mistakes(places))
    random.Random(1).shuffle(mistaken)
    with contextlib.chdir(folder):
        for mistake in mistaken[:most]:
            told = made.run(mistake.words)
            held = told.held and (told.code != 0 or mistake.kind == "a value that does not fit")
            campaign.note(
                f"on the command line: {mistake.kind}",
                REFUSED,
                held,
                f"{mistake.words} {told.escaped!r} {told.err[-300:]}",
            )
            shutil.rmtree(places["new"], ignore_errors=True)
            places["new"].unlink(missing_ok=True)


def try_attempts(campaign: Campaign) -> None:
    """Hand every checker each of the bad attempts."""
    bad = importlib.import_module("tests.exercises.test_bad_attempts")
    for name, attempt in bad.ATTEMPTS.items():
        for one in bad.EXERCISES:
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                passed = replace(one, seconds=bad.SOON)(bad.of_the_right_kind(attempt, one))
            held = passed is False and one.name in said.getvalue() and "Traceback" not in said.getvalue()
            campaign.note(f"an attempt at an exercise that {name}", TOLD, held, one.name)


def limit_memory(size: int) -> None:
    """Let a model that is far too large be refused, rather than fill the machine."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> None:
    """Put in everything, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="for each property, and for each parser of files")
    parser.add_argument("--commands", type=int, help="how many mistaken command lines; all if unset")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    limit_memory(8_000_000_000)
    warnings.simplefilter("ignore")
    os.environ["COLUMNS"] = "200"
    campaign = Campaign("input")
    try_inputs(campaign, arguments.cases)
    try_parsers(campaign, arguments.cases)
    with tempfile.TemporaryDirectory() as scratch:
        try_commands(campaign, Path(scratch), arguments.commands)
    try_attempts(campaign)
    campaign.write(MENDED, arguments.out)
    sys.exit(campaign.tell())


if __name__ == "__main__":
    main()
