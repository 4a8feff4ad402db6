"""Ctrl-C: the first asks politely, the second insists."""

import signal

import pytest

from minigpt.interrupt import finish_step_on_interrupt


def test_the_first_ctrl_c_is_remembered_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), finish_step_on_interrupt() as pressed:
        assert not pressed()
        signal.raise_signal(signal.SIGINT)
        assert pressed()
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second Ctrl-C was swallowed")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_put_back_after_the_block():
    before = signal.getsignal(signal.SIGINT)
    with finish_step_on_interrupt() as pressed:
        assert signal.getsignal(signal.SIGINT) is not before
    assert not pressed()
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
