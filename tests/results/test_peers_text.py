"""The benchmarks of text, start and checkpoints: both sides do the same work, in sizes that take no time."""

import sys

import numpy as np
import pytest
import torch

from benchmarks.peers import checkpoints, peer_shards, preparing, starting, subwords
from benchmarks.peers.watching import Watched, watched
from minigpt import BPETokenizer, UserError, load_tokenizer, model_preset, prepare_shards, split_documents
from minigpt.tokenizer.bpe_training import BYTES, _merge, train_bpe, vocab_from_merges
from minigpt.tokenizer.pretokenize import compile_pattern, count_pretokens

TEXT = "the cat sat on the mat, and the cat's hat sat there -- on the cat\n" * 5 + "a rat that sat\n" * 3


def test_both_trainers_find_the_same_merges():
    pytest.importorskip("tokenizers")
    merges = subwords.learn(TEXT, 20)
    assert len(merges) == 20 and merges == subwords.learn_in_rust(TEXT, 20)


def test_the_naive_way_is_timed_from_the_right_places():
    merges = subwords.learn(TEXT, 20)
    words = [list(match.group().encode()) for match in compile_pattern().finditer(TEXT)]
    one_by_one = words
    for rank, pair in enumerate(merges):
        assert subwords.naive_step(one_by_one) == pair
        one_by_one = [_merge(ids, pair, BYTES + rank) for ids in one_by_one]
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
    tokenizer = BPETokenizer(vocab_from_merges(train_bpe(count_pretokens(TEXT), 20)))
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
    small = model_preset("tiny_char", n_layer=1, n_embd=16, n_head=2, vocab_size=8)
    monkeypatch.setattr(checkpoints, "model_preset", lambda name: small)
    saving, loading = checkpoints.rows(quick=True)
    assert saving.same == loading.same and saving.same.endswith("weights, all equal")
    assert saving.details["seconds_of_the_checksum"] >= 0
    one, other = checkpoints.GPT(small), checkpoints.GPT(small)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    with pytest.raises(UserError, match="weights differ"):
        checkpoints.same_weights(one, other)


def test_both_sides_prepare_the_same_shards(tmp_path, monkeypatch):
    pytest.importorskip("tokenizers")
    passages = preparing.passages_of("\n\n".join([TEXT, "  ", TEXT[3:]] * 20))
    assert len(passages) > 3 and all(passage == passage.strip() for passage in passages)
    path = tmp_path / "text.txt"
    preparing.write_text(passages, 50_000, path)
    assert path.stat().st_size >= 50_000
    monkeypatch.setattr(preparing, "VOCABULARY", 280)
    preparing.save_tokenizers(TEXT, tmp_path)
    peer_shards.main(str(path), str(tmp_path / "theirs.json"), preparing.SEPARATOR, str(tmp_path / "shards.bin"))
    held_out = tmp_path / "held out.txt"
    held_out.write_text("All.")
    documents = split_documents([path], [held_out], separator=preparing.SEPARATOR)
    ours = prepare_shards(documents, load_tokenizer(tmp_path / "ours.json"), tmp_path / "shards")
    assert np.array_equal(ours.split.train[:], np.fromfile(tmp_path / "shards.bin", "<u2"))


def test_a_row_of_preparing_has_the_memory_of_both_sides():
    row = preparing.make_row(5_000_000, [(Watched(2, 3.21, 10_000_000), Watched(4, 6, 20_400_000))], "equal")
    assert row.figure == 2 and row.work == "preparing 5 MB in 2 processes"
    assert row.details["peak_memory_mb_peer"] == 20 and row.details["processor_seconds_ours"] == 3.2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how memory is shared")
def test_a_command_is_watched_with_its_memory():
    found = watched([sys.executable, "-c", "import time; held = b'x' * 30_000_000; time.sleep(0.4)"])
    assert found.seconds > 0.4 and found.peak > 30_000_000
    with pytest.raises(RuntimeError, match="ended with 3"):
        watched([sys.executable, "-c", "raise SystemExit(3)"])
