"""How long byte-pair encoding takes to train: naively, counted, incrementally, in Rust; the record goes to results/.

python -m benchmarks.bpe_training --corpus shakespeare-plays

All find the same merges, which is asserted. Times are processor seconds on one core, reading and cutting included.
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # the Rust code would take every core

from minigpt import load_corpus
from minigpt.tokenizer.bpe_training import BYTES, Pair, _merge, _pairs, train_bpe, train_bpe_fast
from minigpt.tokenizer.pretokenize import compile_pattern, count_pretokens
from minigpt.utils.machine import environment_info

RECORDS = Path(__file__).parent.parent / "results"


def naive(words: list[bytes], n_merges: int) -> Iterator[Pair]:
    """Count all pairs of the whole text anew for every merge."""
    pieces = [list(word) for word in words]
    for new_id in range(BYTES, BYTES + n_merges):
        counts = Counter(pair for ids in pieces for pair in _pairs(ids))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        pieces = [_merge(ids, best, new_id) for ids in pieces]
        yield best


def counted(words: Counter[bytes], n_merges: int) -> Iterator[Pair]:
    """Keep every distinct word once, with its count, and count all pairs of these anew for every merge."""
    pieces = [(list(word), weight) for word, weight in words.items()]
    for new_id in range(BYTES, BYTES + n_merges):
        counts: Counter[Pair] = Counter()
        for ids, weight in pieces:
            for pair in _pairs(ids):
                counts[pair] += weight
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        pieces = [(_merge(ids, best, new_id), weight) for ids, weight in pieces]
        yield best


def timed(work: Callable[[], list[Pair]]) -> tuple[list[Pair], float]:
    """Run something; return what it gave and the processor seconds it took."""
    started = time.process_time()
    found = work()
    return found, round(time.process_time() - started, 2)


def main() -> None:
    """Time the four, and write the record after each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="shakespeare-plays")
    parser.add_argument("--merges", type=int, default=1000, help="at which all are compared")
    parser.add_argument("--naive-merges", type=int, default=1000, help="fewer, where the naive one takes too long")
    parser.add_argument("--all-merges", type=int, default=32_000, help="for the last two")
    arguments = parser.parse_args()
    corpus = load_corpus(arguments.corpus)
    every_word = [match.group().encode("utf-8") for match in compile_pattern().finditer(corpus.text)]
    full, few, fewer = arguments.all_merges, arguments.merges, arguments.naive_merges
    cases: list[tuple[str, int, Callable[[], list[Pair]]]] = [
        ("rust", full, lambda: train_bpe_fast(count_pretokens(corpus.text), full)),
        ("incremental", full, lambda: list(train_bpe(count_pretokens(corpus.text), full))),
        ("rust", few, lambda: train_bpe_fast(count_pretokens(corpus.text), few)),
        ("incremental", few, lambda: list(train_bpe(count_pretokens(corpus.text), few))),
        ("counted", few, lambda: list(counted(count_pretokens(corpus.text), few))),
        ("naive", fewer, lambda: list(naive(every_word, fewer))),
    ]
    record = {
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "characters": len(corpus.text)},
        "machine": environment_info() | {"threads": 1},
        "words": {"all": len(every_word), "distinct": len(set(every_word))},
        "processor_seconds": {},
    }
    expected = None
    for name, n_merges, work in cases:
        found, seconds = timed(work)
        expected = expected or found
        assert found == expected[: len(found)] and len(found) == n_merges, f"{name} found other merges"
        record["processor_seconds"].setdefault(name, {})[str(n_merges)] = seconds
        path = RECORDS / f"bpe-training-{corpus.name}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {n_merges:,} merges in {seconds:,} s", flush=True)


if __name__ == "__main__":
    main()
