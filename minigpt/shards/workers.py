"""Batches of documents to ids, in one process or several: always in the same order, and never many at a time."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any

from minigpt.errors import UserError
from minigpt.shards.documents import Batch, Piece, Place
from minigpt.shards.encoding import Encoded, Encoder
from minigpt.tokenizers import KINDS, Tokenizer

AHEAD = 3  # batches for each process that are under way or wait to be written


def encode_in_order(
    batches: Iterable[Batch], tokenizer: Tokenizer, workers: int
) -> Iterator[tuple[Place, dict[str, Encoded]]]:
    """Yield the ids of each batch and the place after it; with more than one worker, each is a process of its own.

    Raises:
        UserError: a batch cannot be encoded, or a worker was ended.
    """
    if workers == 1:
        encode = Encoder(tokenizer)
        for batch in batches:
            yield batch.after, encode(batch.pieces)
        return
    begin = (begin_worker, (tokenizer.to_dict(),))
    pool = ProcessPoolExecutor(workers, start_method(), *begin)
    waiting: deque[tuple[Place, Future]] = deque()
    try:
        for batch in batches:
            waiting.append((batch.after, pool.submit(encode_here, batch.pieces)))
            if len(waiting) >= AHEAD * workers:
                place, future = waiting.popleft()
                yield place, future.result()
        for place, future in waiting:
            yield place, future.result()
    except BrokenProcessPool:
        raise UserError("A worker was ended, perhaps for want of memory; try again with fewer workers.") from None
    finally:
        pool.shutdown(cancel_futures=True)


def start_method() -> BaseContext:
    """Return the way to begin workers: as copies of one fresh process with this module, or each afresh on Windows.

    So the workers share the memory that the imports take, and nothing of the process that wants them.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    method = multiprocessing.get_context("forkserver")
    method.set_forkserver_preload([__name__])
    return method


encoder: Encoder  # of a worker's own


def begin_worker(tokenizer: dict[str, Any]) -> None:
    """Prepare a worker: it has its own encoder, leaves Ctrl-C to its parent, and does not outlive it."""
    global encoder
    encoder = Encoder(KINDS[tokenizer["kind"]].from_dict(tokenizer))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def encode_here(pieces: list[Piece]) -> dict[str, Encoded]:
    """Encode pieces in a worker."""
    return encoder(pieces)


def end_with_parent() -> None:
    """Wait for the end of the process that began this one, and end this one, too."""
    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)
