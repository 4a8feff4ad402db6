"""The record of checkpoints holds what the chapter on gradient checkpointing says of it."""

import json

from minigpt import GPTConfig, asset_path

RECORD = json.loads(asset_path("results/checkpointing.json").read_text(encoding="utf-8"))
ROWS = RECORD["variants"]["sdpa"]
KEPT = {name: row["kept_mb"] / ROWS["none"]["kept_mb"] for name, row in ROWS.items()}


def test_the_model_has_twelve_blocks():
    assert GPTConfig.from_dict(RECORD["config"]).n_layer == 12


def test_every_gradient_was_equal_to_the_bit_unless_it_was_added_up():
    for rows in RECORD["variants"].values():
        assert all(row["equal_to_the_bit"] for name, row in rows.items() if name != "batch in two")


def test_memory_follows_the_count():
    assert abs(KEPT["GELU"] - 0.75) < 0.03
    assert abs(KEPT["attention"] - 0.75) < 0.03
    assert abs(KEPT["mlp"] - 0.5) < 0.03
    assert KEPT["block"] < 0.15


def test_naive_attention_frees_more():
    naive = RECORD["variants"]["naive"]
    assert naive["attention"]["kept_mb"] / naive["none"]["kept_mb"] < KEPT["attention"] - 0.1
