"""The record of attention's memory holds what the chapter on flash attention says of it."""

import json

from minigpt import asset_path
from minigpt.model.attention import ATTENTION_FUNCTIONS

RECORD = json.loads(asset_path("results/attention-memory.json").read_text(encoding="utf-8"))
PEAKS = {(row["attn_impl"], row["length"]): row["peak_mb"] for row in RECORD["attention"]}
LENGTHS = sorted({length for _, length in PEAKS})


def test_every_length_was_measured_in_every_way():
    assert PEAKS.keys() == {(name, length) for name in (*ATTENTION_FUNCTIONS, "tiled, 256") for length in LENGTHS}
    assert {row["attn_impl"] for row in RECORD["training"]} == set(ATTENTION_FUNCTIONS)
    assert all(row["seconds"] > 0 for row in [*RECORD["attention"], *RECORD["training"]])


def test_naive_memory_grows_with_the_square_and_tiled_memory_with_the_length():
    last, before = LENGTHS[-1], LENGTHS[-2]
    assert last == 2 * before
    assert 3.5 < PEAKS["naive", last] / PEAKS["naive", before] < 4.5
    for name in ("tiled", "sdpa"):
        assert PEAKS[name, last] / PEAKS[name, before] < 2.5
        assert PEAKS[name, last] < PEAKS["naive", last] / 20
