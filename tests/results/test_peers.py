"""The benchmarks side by side: turns are taken in turn, ratios point the right way, and records say how they came."""

import json
import re
from pathlib import Path

import pytest
import torch

from benchmarks.peers import generating, tiny, training, turns
from benchmarks.peers.record import Row, begin, write_record
from benchmarks.peers.sameness import equal, equal_ids, near
from benchmarks.peers.turns import Turns, interleaved
from benchmarks.peers.twins import random_ids, seconds_to_read, twins
from minigpt import GPTConfig, UserError

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "results" / "benchmarks").glob("*.json"))
CASES = sorted((ROOT / "benchmarks" / "peers").glob("*.py"))


def make_row(**changes) -> Row:
    made = {"work": "a step", "ours": "minigpt", "peer": "another", "same": "equal", "times": Turns([1.0], [2.0])}
    return Row(**(made | changes))


def test_both_sides_take_turns_and_the_first_round_only_warms_up():
    called = []
    found = interleaved(lambda: called.append("ours"), lambda: called.append("peer"), rounds=3)
    assert called == ["ours", "peer"] * 4
    assert len(found.ours) == len(found.peer) == 3


def test_a_ratio_above_one_means_that_ours_is_sooner(monkeypatch):
    clock = iter([0, 9, 9, 18, 20, 21, 21, 23, 30, 31, 31, 35, 40, 42, 42, 45])
    monkeypatch.setattr(turns.time, "perf_counter", lambda: next(clock))
    found = interleaved(int, int, rounds=3)
    assert found == Turns([1, 1, 2], [2, 4, 3])
    assert found.ratio == 3
    assert found.spread == (1.5, 4)


def test_sides_that_differ_are_refused_with_a_sentence():
    zeros = torch.zeros(3)
    assert near("logits", zeros, zeros + 1e-7, 1e-6) == "logits equal within 1e-07"
    assert near("logits", zeros, zeros, 1e-6) == "logits equal to the bit"
    with pytest.raises(UserError, match="^logits differ by 0.5, more than 1e-06; nothing is timed.$"):
        near("logits", zeros, zeros + 0.5, 1e-6)
    with pytest.raises(UserError, match=r"^logits: \(3,\) here, \(2,\) there; nothing is timed.$"):
        near("logits", zeros, zeros[:2], 1e-6)
    assert equal("ids", [1, 2], (1, 2)) == "2 ids, all equal"
    with pytest.raises(UserError, match="^ids differ from place 1 on; nothing is timed.$"):
        equal("ids", [1, 2, 3], [1, 5, 3])
    with pytest.raises(UserError, match="^ids: 1 here, 2 there; nothing is timed.$"):
        equal("ids", [1], [1, 2])
    assert equal_ids("tokens", zeros, zeros) == "3 tokens, all equal"
    with pytest.raises(UserError, match="^tokens differ; nothing is timed.$"):
        equal_ids("tokens", zeros, zeros + 1)


def test_logits_that_are_not_numbers_are_no_match():
    with pytest.raises(UserError, match="differ by nan"):
        near("logits", torch.zeros(1), torch.full((1,), float("nan")), 1e-6)


def test_an_aim_is_reached_from_the_right_side():
    assert make_row().reached is None
    assert make_row(aim=1.9).reached and not make_row(aim=2.1).reached
    assert make_row(value=0.2, unit="s", aim=0.3, at_most=True).reached
    assert not make_row(value=0.4, unit="s", aim=0.3, at_most=True).reached


def test_a_record_says_what_was_measured_and_where(tmp_path):
    path = write_record("case", begin(quick=True), [make_row(aim=1.5), make_row(times=None, value=3.0)], tmp_path)
    record = json.loads(path.read_text("utf-8"))
    assert path.name == "case.json"
    assert record["quick"] is True
    assert {"processor", "threads", "date", "versions"} <= record["machine"].keys()
    assert record["machine"]["versions"]["torch"]
    timed, counted = record["rows"]
    assert timed["times"] == {"ours": [1.0], "peer": [2.0]}
    assert (timed["ratio"], timed["spread"], timed["figure"], timed["reached"]) == (2.0, [2.0, 2.0], 2.0, True)
    assert (counted["times"], counted["ratio"], counted["spread"], counted["figure"]) == (None, None, None, 3.0)


@pytest.fixture(scope="module")
def small() -> GPTConfig:
    return GPTConfig(vocab_size=50, block_size=32, n_layer=2, n_head=2, n_embd=16, tie_weights=True)


def test_a_step_of_training_is_the_same_step(small):
    row = training.compare("a step", *twins(small), random_ids(small, 2, 9), rounds=2, compile=False)
    assert row.work == "a step, eager" and len(row.times.ours) == 2 and row.same.startswith("losses of two steps equal")


def test_a_peer_with_other_weights_is_refused(small):
    ours, peer = (model.eval() for model in twins(small))
    with torch.no_grad():
        peer.transformer.wte.weight += torch.randn_like(peer.transformer.wte.weight)
    with pytest.raises(UserError, match="losses of two steps differ by"):
        training.compare("a step", ours, peer, random_ids(small, 2, 9), rounds=1, compile=False)
    with pytest.raises(UserError, match="greedy tokens differ"):
        list(generating.float32_rows(ours, peer, random_ids(small, 1, 4), 8, rounds=1, floor=1e-3))


def test_both_write_the_same_and_the_first_token_is_timed_by_itself(small):
    ours, peer = (model.eval() for model in twins(small))
    ids = random_ids(small, 3, 4)
    first, whole = generating.float32_rows(ours, peer, ids, 6, rounds=1, floor=1e-3)
    assert first.work == "the first token after a prompt of 4, 3 texts" and first.aim == 1
    assert whole.same == "18 greedy tokens, all equal" and whole.aim is None
    assert {"ours_ms_per_token", "peer_ms_per_token", "floor_ms"} <= whole.details.keys()
    row = generating.int8_row(ours, peer, ids[:1], 6, 1, {"float32_loss": 2.0, "int8_loss": 2.01})
    assert row.aim == 3 and row.same == "loss of plays-bpe +0.0100 nats"


def test_writing_anew_every_time_gives_what_the_cache_gives(model):
    assert tiny.write_uncached(model, [1, 2], 5) == tiny.writer(model, [1, 2], 5)()


def test_reading_takes_time():
    assert seconds_to_read(4000, rounds=2) > 0


def test_the_peers_have_the_versions_that_the_book_is_tested_with():
    lines = (ROOT / "requirements-bench.txt").read_text("utf-8").splitlines()
    peers = {line for line in lines if not line.startswith("#")}
    assert peers and peers <= set((ROOT / "requirements.txt").read_text("utf-8").splitlines())


@pytest.mark.parametrize("path", RECORDS, ids=[path.stem for path in RECORDS])
def test_a_record_that_is_kept_says_all_that_the_page_needs(path):
    record = json.loads(path.read_text("utf-8"))
    assert {"machine", "load_at_start", "quick", "rows"} <= record.keys() and record["rows"]
    for row in record["rows"]:
        made = make_row(**{key: row[key] for key in ("aim", "at_most", "unit")}, value=row["figure"])
        assert row["reached"] == made.reached
        assert row["work"] and row["ours"] and row["peer"] and row["same"]
        if row["times"]:
            times = Turns(**row["times"])
            assert row["ratio"] == pytest.approx(times.ratio, rel=1e-4)
            assert row["spread"] == pytest.approx(times.spread, rel=1e-4)


def test_every_record_has_a_case_and_every_missed_aim_a_reason():
    names = {name for path in CASES for name in re.findall(r'^NAME = "(.+)"$', path.read_text("utf-8"), re.MULTILINE)}
    assert {path.stem for path in RECORDS} <= names
    page = (ROOT / "chapters" / "appendix_benchmarks.ipynb").read_text("utf-8")
    missing = {name for name in names if f'\\"{name}\\",' not in page}
    assert not missing, f"the page has no word on what stands in the way of {missing}"
