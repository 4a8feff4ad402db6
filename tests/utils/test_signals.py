"""Ctrl-C and the request to end: the first asks politely, the second insists."""

import signal
import subprocess
import sys

import pytest

from minigpt.utils.signals import SIGNALS, graceful_shutdown


def handlers() -> list:
    return [signal.getsignal(number) for number in SIGNALS]


def test_the_first_ctrl_c_is_remembered_and_the_second_interrupts():
    before = handlers()
    with pytest.raises(KeyboardInterrupt), graceful_shutdown() as received:
        assert received() is None
        signal.raise_signal(signal.SIGINT)
        assert received() == signal.SIGINT
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second Ctrl-C was swallowed")
    assert handlers() == before


def test_a_request_to_end_is_remembered():
    with graceful_shutdown() as received:
        signal.raise_signal(signal.SIGTERM)
        assert received() == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the next one ends the process"


def test_a_second_request_of_either_kind_acts_at_once():
    program = """
import signal
from minigpt.utils.signals import graceful_shutdown
with graceful_shutdown():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == -signal.SIGTERM


def test_under_torchrun_a_signal_that_comes_twice_is_one_request(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    before = handlers()
    with graceful_shutdown() as received:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
            assert received() == signal.SIGTERM
    assert handlers() == before


def test_both_are_put_back_after_the_block():
    before = handlers()
    with graceful_shutdown() as received:
        assert all(now is not then for now, then in zip(handlers(), before, strict=True))
    assert received() is None
    assert handlers() == before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
