"""Put in whatever hypothesis can think of, thousands of times: the properties of `tests/test_input.py`, counted."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import settings

from tools.faults.record import Campaign

TESTS = Path(__file__).parents[2] / "tests"
OUTCOME = "a right answer or one sentence"


def try_inputs(campaign: Campaign, cases: int) -> None:
    """Feed each property so many cases, and count them; of one that breaks, the smallest case is told."""
    for test in properties(cases):
        ran, broken = fed(test)
        title = test.__name__.removeprefix("test_").replace("_", " ")
        for number in range(ran):
            campaign.note(title, OUTCOME, held=not broken or number > 0, where=broken)


def properties(cases: int) -> Iterator[Callable[[], None]]:
    """Yield the tests that hypothesis feeds, each of which will be fed so many cases."""
    settings.register_profile("faults", deadline=None, max_examples=cases, database=None)
    settings.load_profile("faults")  # before the tests are read, which then take it up
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    return (test for test in vars(importlib.import_module("test_input")).values() if hasattr(test, "hypothesis"))


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
