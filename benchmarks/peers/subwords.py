"""Byte-pair encoding: learning the merges of the plays, and cutting 5 MB of text with them.

Every side has one thread. The plays' dashes are written as two hyphens, so that `tokenizers` can work on the bytes
themselves; its merges are then the same as ours one by one, ties included.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from statistics import median

import tiktoken

from benchmarks.peers.record import Row
from benchmarks.peers.sameness import equal
from benchmarks.peers.turns import interleaved, seconds
from minigpt import BPETokenizer, load_corpus
from minigpt.tokenizer.bpe_training import BYTES, Pair, _merge, _pairs, train_bpe, vocab_from_merges
from minigpt.tokenizer.pretokenize import compile_pattern, count_pretokens

NAME = "subwords"
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # as OpenAI wrote GPT-2's pattern
SIZE = 5_000_000  # characters


def rows(quick: bool) -> Iterator[Row]:
    """Yield training beside `tokenizers` and beside the naive way, then encoding and decoding beside `tiktoken`."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    text = plays()[: 1_000_000 if quick else None]
    n_merges, rounds = (4_000, 1) if quick else (32_000, 2)
    merges = learn(text, n_merges)
    same = equal("merges", merges, learn_in_rust(text, n_merges))
    times = interleaved(lambda: learn(text, n_merges), lambda: learn_in_rust(text, n_merges), rounds)
    work = f"learning {n_merges:,} merges from {len(text):,} characters"
    yield Row(work=work, ours="train_bpe, Python", peer="tokenizers, Rust", same=same, times=times, aim=1 / 20)
    yield beside_naive(work, text, merges, median(times.ours))
    tokenizer = BPETokenizer(vocab_from_merges(merges))
    yield from cutting(tokenizer, (text * (SIZE // len(text) + 1))[: SIZE // 5 if quick else SIZE], 3 if quick else 9)


def plays() -> str:
    """Return the plays in ASCII."""
    return load_corpus("shakespeare-plays").text.replace("—", "--")


def learn(text: str, n_merges: int) -> list[Pair]:
    """Return the merges that minigpt finds, written in Python."""
    return list(train_bpe(count_pretokens(text), n_merges))


def learn_in_rust(text: str, n_merges: int) -> list[Pair]:
    """Return the merges that `tokenizers` finds in an ASCII text."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
    alphabet = [chr(value) for value in range(BYTES)]
    trainer = trainers.BpeTrainer(
        vocab_size=BYTES + n_merges, min_frequency=1, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]


def beside_naive(work: str, text: str, merges: list[Pair], ours: float) -> Row:
    """Return how many times sooner ours is done than one that counts all pairs of the text anew for every merge.

    The naive way would take hours. Single steps of it are timed, at places that stand ever further apart, and what
    lies between two of them is taken to last as long as their mean.
    """
    places = [0] + [at for power in range(7, 15) if (at := 2**power) < len(merges)] + [len(merges) - 1]
    steps: list[tuple[int, float]] = []
    pieces = [list(match.group().encode()) for match in compile_pattern().finditer(text)]
    done = 0
    for place in places:
        pieces = merged(pieces, merges[done:place], BYTES + done)
        done = place
        found: list[Pair] = []
        steps.append((place, seconds(lambda pieces=pieces, found=found: found.append(naive_step(pieces)))))
        equal("pairs", found, [merges[place]])
    total = sum((b - a) * (before + after) / 2 for (a, before), (b, after) in zip(steps, steps[1:], strict=False))
    return Row(
        work=work,
        ours="train_bpe, Python",
        peer="counting all pairs anew for every merge, extrapolated",
        same=f"at {len(steps)} places the naive way finds the same pair",
        value=total / ours,
        aim=50,
        details={"naive_seconds": round(total), "seconds_of_a_step": {at: round(took, 3) for at, took in steps}},
    )


def merged(pieces: list[list[int]], merges: list[Pair], first_id: int) -> list[list[int]]:
    """Return the words after some more merges; each distinct word is merged once."""
    done: dict[tuple[int, ...], list[int]] = {}
    ranks = {pair: first_id + i for i, pair in enumerate(merges)}
    for word in map(tuple, pieces):
        if word not in done:
            ids = list(word)
            while new := min((ranks[pair] for pair in _pairs(ids) if pair in ranks), default=None):
                ids = _merge(ids, merges[new - first_id], new)
            done[word] = ids
    return [list(done[tuple(word)]) for word in pieces]


def naive_step(pieces: list[list[int]]) -> Pair:
    """Find the next pair as `Counter` does it, and merge it everywhere."""
    counts = Counter(pair for ids in pieces for pair in _pairs(ids))
    best = min(counts, key=lambda pair: (-counts[pair], pair))
    [_merge(ids, best, -1) for ids in pieces]
    return best


def cutting(tokenizer: BPETokenizer, text: str, rounds: int) -> Iterator[Row]:
    """Yield encoding and decoding beside `tiktoken` with the same tokens."""
    peer = tiktoken.Encoding(
        "the same", pat_str=tokenizer.pattern, mergeable_ranks=tokenizer.ranks, special_tokens=tokenizer.special_tokens
    )
    ids = tokenizer.encode(text)
    same = equal("ids", ids, peer.encode_ordinary(text))
    size = f"{len(text) / 1e6:g} MB"
    times = interleaved(lambda: tokenizer.encode(text), lambda: peer.encode_ordinary(text), rounds)
    yield Row(work=f"encoding {size}", ours="BPETokenizer", peer="tiktoken", same=same, times=times, aim=0.95)
    same = equal("characters", tokenizer.decode(ids), peer.decode(ids))
    times = interleaved(lambda: tokenizer.decode(ids), lambda: peer.decode(ids), 3 * rounds)
    yield Row(work=f"decoding {size}", ours="BPETokenizer", peer="tiktoken", same=same, times=times, aim=0.95)
