"""The benchmarks of text, start and checkpoints: both sides do the same work, in sizes that take no time."""

import pytest
import torch

from benchmarks.side_by_side import checkpoints, starting, subwords
from minigpt import BPETokenizer, UserError, preset
from minigpt.bpe.merging import BYTES, learn_merges, merge, tokens_of
from minigpt.bpe.words import compiled, count_words

TEXT = "the cat sat on the mat, and the cat's hat sat there -- on the cat\n" * 5 + "a rat that sat\n" * 3


def test_both_trainers_find_the_same_merges():
    pytest.importorskip("tokenizers")
    merges = subwords.learn(TEXT, 20)
    assert len(merges) == 20 and merges == subwords.learn_in_rust(TEXT, 20)


def test_the_naive_way_is_timed_from_the_right_places():
    merges = subwords.learn(TEXT, 20)
    words = [list(match.group().encode()) for match in compiled().finditer(TEXT)]
    one_by_one = words
    for rank, pair in enumerate(merges):
        assert subwords.naive_step(one_by_one) == pair
        one_by_one = [merge(ids, pair, BYTES + rank) for ids in one_by_one]
    halfway = subwords.merged(words, merges[:10], BYTES)
    assert subwords.merged(halfway, merges[10:], BYTES + 10) == one_by_one


def test_the_naive_way_is_extrapolated_and_its_pairs_are_compared(monkeypatch):
    merges = subwords.learn(TEXT, 20)
    monkeypatch.setattr(subwords, "seconds", lambda call: (call(), 2.0)[1])
    row = subwords.beside_naive("learning", TEXT, merges, ours=0.5)
    assert row.details["naive_seconds"] == 38 and row.figure == 19 * 2.0 / 0.5
    with pytest.raises(UserError, match="pairs differ from place 0 on"):
        subwords.beside_naive("learning", TEXT, merges[::-1], ours=0.5)


def test_cutting_is_compared_with_the_same_tokens():
    tokenizer = BPETokenizer(tokens_of(learn_merges(count_words(TEXT), 20)))
    encoding, decoding = subwords.cutting(tokenizer, TEXT, rounds=1)
    assert "ids, all equal" in encoding.same and decoding.same == f"{len(TEXT)} characters, all equal"


def test_each_start_is_a_process_of_its_own(monkeypatch):
    assert starting.run("-c", "print(3)") == "3\n"
    monkeypatch.setattr(starting, "run", lambda *arguments: "selftest" if "--help" in arguments else "")
    imported, names, helped = starting.rows(quick=True)
    assert (imported.unit, names.aim, helped.aim) == ("s more", 0.3, 0.5)
    monkeypatch.setattr(starting, "run", lambda *arguments: "")
    with pytest.raises(UserError, match="nothing is timed"):
        list(starting.rows(quick=True))


def test_checkpoints_hold_the_same_weights(monkeypatch):
    small = preset("tiny_char", n_layer=1, n_embd=16, n_head=2, vocab_size=8)
    monkeypatch.setattr(checkpoints, "preset", lambda name: small)
    saving, loading = checkpoints.rows(quick=True)
    assert saving.same == loading.same and saving.same.endswith("weights, all equal")
    assert saving.details["seconds_of_the_checksum"] >= 0
    one, other = checkpoints.GPT(small), checkpoints.GPT(small)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    with pytest.raises(UserError, match="weights differ"):
        checkpoints.same_weights(one, other)
