"""The trainer of byte-pair encoding: the same merges as counting everything anew, and as the Rust code."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bpe_training import counted, naive
from minigpt import UserError, asset_path, load_corpus
from minigpt.tokenizer.bpe_training import _merge, apply_merges, train_bpe, train_bpe_fast, vocab_from_merges
from minigpt.tokenizer.pretokenize import count_pretokens

FEW_LETTERS = st.lists(st.text("abc ", min_size=1), min_size=1).map("\n".join)  # many repetitions, many ties
ANY_TEXT = st.text(min_size=1)


@given(st.one_of(FEW_LETTERS, ANY_TEXT), st.integers(0, 30))
def test_the_incremental_trainer_finds_what_counting_anew_finds(text, n_merges):
    words = count_pretokens(text)
    found = list(train_bpe(words, n_merges))
    assert len(found) == n_merges or all(len(encode(word, found)) == 1 for word in words)
    every_word = [word for word, count in words.items() for _ in range(count)]
    assert found == list(naive(every_word, len(found)))
    assert found == list(counted(words, len(found)))


@given(st.one_of(FEW_LETTERS, ANY_TEXT), st.integers(0, 30))
def test_the_rust_trainer_finds_the_same(text, n_merges):
    pytest.importorskip("tokenizers")
    words = count_pretokens(text)
    assert train_bpe_fast(words, n_merges) == list(train_bpe(words, n_merges))


def encode(word: bytes, merges: list[tuple[int, int]]) -> list[int]:
    """Apply the merges in their order, each to the whole word."""
    ids = list(word)
    for place, pair in enumerate(merges):
        ids = _merge(ids, pair, 256 + place)
    return ids


@given(FEW_LETTERS, st.integers(0, 40), st.text("abc "))
def test_merging_by_rank_is_merging_in_order(text, n_merges, word):
    merges = list(train_bpe(count_pretokens(text), n_merges))
    tokens = vocab_from_merges(merges)
    ranks = {token: rank for rank, token in enumerate(tokens)}
    assert len(ranks) == len(tokens)  # no two merges make the same bytes
    pieces = apply_merges(word.encode(), ranks)
    assert [ranks[piece] for piece in pieces] == encode(word.encode(), merges)
    for id, (left, right) in enumerate(merges, start=256):
        assert apply_merges(tokens[id], ranks, below=id) == [tokens[left], tokens[right]]


def test_a_word_by_hand():
    # he occurs 25 times, then t+he 14 times, then he+n 6 times and the+n 4 times
    words = Counter({b"the": 10, b"then": 4, b"hen": 6, b"he": 5})
    found = vocab_from_merges(train_bpe(words, 4))[256:]
    assert found == [b"he", b"the", b"hen", b"then"]


def test_equals_are_decided_by_the_smallest_ids():
    assert list(train_bpe(Counter({b"zy": 2, b"ab": 2, b"ac": 2}), 3)) == [(97, 98), (97, 99), (122, 121)]


@pytest.mark.parametrize(
    ("ids", "expected"), [([1, 1, 1], [9, 1]), ([1, 1, 1, 1], [9, 9]), ([1], [1]), ([], []), ([2, 1, 1], [2, 9])]
)
def test_a_pair_is_merged_from_left_to_right(ids, expected):
    assert _merge(ids, (1, 1), 9) == expected


@pytest.mark.slow
def test_the_plays_give_32000_merges_and_the_rust_code_the_same_ones():
    try:
        words = count_pretokens(load_corpus("shakespeare-plays").text)
    except UserError as error:
        pytest.skip(str(error))
    found = list(train_bpe(words, 32_000))
    assert len(found) == 32_000
    pytest.importorskip("tokenizers")
    assert train_bpe_fast(words, 32_000) == found


@pytest.mark.parametrize("corpus", ["tinyshakespeare", "shakespeare-plays"])
def test_the_record_says_how_much_the_incremental_trainer_saves(corpus):
    record = json.loads(asset_path(f"results/bpe-training-{corpus}.json").read_text("utf-8"))
    seconds = record["processor_seconds"]
    slow = [seconds[name]["1000"] for name in ("counted", "naive") if name in seconds]
    assert slow and min(slow) / seconds["incremental"]["1000"] > 50
    assert seconds["incremental"].get("32000", 0) < 120
