"""Live memory counts what a computation makes, while it lives, each memory once."""

import torch

from minigpt.utils.memory import MemoryTracker

KIB = 1024


def block() -> torch.Tensor:
    return torch.zeros(256)  # float32: one KiB


def test_what_lives_counts_and_what_is_gone_does_not():
    with MemoryTracker() as memory:
        first = block()
        second = first + 1
        assert memory.current == 2 * KIB
        del first
        assert memory.current == KIB
        second = second * 2
        assert memory.current == KIB
    assert memory.peak == 2 * KIB
    del second
    assert memory.current == 0


def test_views_and_writing_in_place_take_no_memory():
    with MemoryTracker() as memory:
        whole = block()
        part, turned = whole[:8], whole.view(16, 16).mT
        whole.add_(1)
        assert memory.current == memory.peak == KIB
        del whole, turned
        assert memory.current == KIB  # the part holds all of it
        del part
        assert memory.current == 0


def test_what_was_there_before_does_not_count():
    before = block()
    with MemoryTracker() as memory:
        view = before.view(16, 16)
        before.mul_(2)
        assert memory.current == memory.peak == 0
        del view


def test_the_backward_pass_is_seen():
    x = block().requires_grad_()
    with MemoryTracker() as memory:
        y = x.exp().exp().sum()  # keeps both results
        assert memory.current >= 2 * KIB
        y.backward()
        del y
    assert memory.peak >= 3 * KIB
    assert memory.current == KIB  # the gradient


def test_two_can_watch_at_once():
    with MemoryTracker() as outer:
        first = block()
        with MemoryTracker() as inner:
            second = block()
    assert (outer.peak, inner.peak) == (2 * KIB, KIB)
    del first, second
