"""Workers: batches come back in order, few are read ahead, and a worker that was ended is named."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import CharTokenizer, UserError
from minigpt.data import prepare
from minigpt.data.documents import Batch, Chunk, ReadPosition
from minigpt.data.prepare import Encoder, encode_batches


def batch(number: int, text: str = "ab") -> Batch:
    return Batch([Chunk(text.encode(), "train", True, "a.txt", 0)], ReadPosition(number))


@given(sizes=st.lists(st.integers(1, 9), max_size=20), n_workers=st.integers(2, 3))
def test_batches_come_back_in_order(sizes, n_workers):
    def slow_at_times(pieces):
        time.sleep(0.002 * (len(pieces[0].text) % 3))
        return Encoder(CharTokenizer("ab"))(pieces)

    batches = [batch(number, "a" * size) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "ProcessPoolExecutor", lambda n, *_: ThreadPoolExecutor(n))
        patch.setattr(prepare, "_encode", slow_at_times)
        found = list(encode_batches(iter(batches), CharTokenizer("ab"), n_workers))
    assert [place.span for place, _ in found] == list(range(len(sizes)))
    assert [encoded["train"].characters for _, encoded in found] == sizes


def test_never_many_batches_are_read_ahead(monkeypatch):
    monkeypatch.setattr(prepare, "ProcessPoolExecutor", lambda n, *_: ThreadPoolExecutor(n))
    monkeypatch.setattr(prepare, "_encode", Encoder(CharTokenizer("ab")))
    read, written = 0, 0

    def batches():
        nonlocal read
        for number in range(50):
            read += 1
            assert read - written <= 2 * prepare.QUEUE_AHEAD
            yield batch(number)

    for _ in encode_batches(batches(), CharTokenizer("ab"), 2):
        written += 1
    assert written == 50


def kill_itself(pieces):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_was_ended_is_one_sentence(monkeypatch):
    monkeypatch.setattr(prepare, "_encode", kill_itself)
    with pytest.raises(UserError, match="A worker was ended, perhaps for want of memory; try again with fewer workers"):
        list(encode_batches([batch(0)], CharTokenizer("ab"), 2))
