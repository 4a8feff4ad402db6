"""The record of writing with a cache holds what the chapter on it says."""

import json

import pytest

from minigpt import GPTConfig, asset_path
from minigpt.planning.counting import num_parameters

RECORD = json.loads(asset_path("results/kv-cache.json").read_text(encoding="utf-8"))
LENGTHS = {name: {row["length"]: row for row in rows} for name, rows in RECORD["by_length"].items()}
HEADS = {row["n_kv_head"]: row for row in RECORD["by_heads"]}
INT8 = RECORD["int8"]["models"]


def ratio(row):
    return row["uncached"] / row["cached"]


@pytest.mark.parametrize("model", RECORD["models"].values(), ids=RECORD["models"])
def test_the_sizes_are_those_of_the_models(model):
    assert num_parameters(GPTConfig.from_dict(model["config"])) == model["parameters"]


@pytest.mark.parametrize("rows", LENGTHS.values(), ids=LENGTHS)
def test_a_cache_gains_more_the_longer_the_text(rows):
    ratios = [ratio(rows[length]) for length in (16, 64, 256, *(set(rows) & {1024}))]
    assert ratios == sorted(ratios)
    assert rows[max(rows)]["cached"] < 2 * rows[16]["cached"]


def test_the_gain_is_far_smaller_than_the_number_of_tokens():
    assert 10 < ratio(LENGTHS["Tiny"][256]) < 14
    assert 10 < ratio(LENGTHS["Medium"][256]) < 14
    assert 60 < ratio(LENGTHS["8 blocks of 512"][1024]) < 80


def test_one_by_one_is_ten_times_slower_than_at_once():
    seconds = list(RECORD["by_chunk"]["seconds"].values())
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] > 10 * seconds[-1]


def test_sixteen_texts_take_a_few_times_as_long_as_one():
    seconds = RECORD["by_batch"]["seconds"]
    assert 2 < seconds["16"] / seconds["1"] < 5


def test_fewer_heads_save_memory_and_with_two_of_them_no_time():
    assert HEADS[8]["cache_bytes"] == 4 * HEADS[2]["cache_bytes"] == 8 * HEADS[1]["cache_bytes"]
    assert HEADS[2]["cached"] >= HEADS[8]["cached"] > HEADS[1]["cached"]


def test_weights_of_one_byte_pay_for_the_larger_models_only():
    gain = {name: ways["float32"]["cached"] / ways["int8, kernel"]["cached"] for name, ways in INT8.items()}
    assert gain["Tiny"] < 1.1 and gain["Medium"] < 1.1
    assert 1.7 < gain["8 blocks of 512"] < 2.5 and 1.7 < gain["GPT-2 Small"] < 2.5
    own = {name: ways["float32"]["cached"] / ways["int8, unpacked"]["cached"] for name, ways in INT8.items()}
    assert own.pop("GPT-2 Small") < 1 / 3
    assert all(0.85 < each < 1.2 for each in own.values())


def test_the_loss_hardly_changes():
    loss = {way: row["loss"] for way, row in INT8["Tiny"].items()}
    assert abs(loss["int8, unpacked"] - loss["float32"]) < abs(loss["int8, kernel"] - loss["float32"]) < 0.005
