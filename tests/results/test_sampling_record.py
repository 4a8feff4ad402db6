"""The record of the chapter on sampling belongs to the model that is shipped, and holds what the chapter shows."""

import json

from minigpt import Sampler, asset_path
from minigpt.utils.files import sha256_file

RECORD = json.loads(asset_path("results/sampling.json").read_text(encoding="utf-8"))


def test_it_was_made_with_the_shipped_model():
    weights = asset_path("checkpoints/tiny") / "model.safetensors"
    assert RECORD["checkpoint_sha256"] == sha256_file(weights), "run experiments/sampling.py"


def test_every_setting_is_a_sampler_and_has_three_measures():
    assert all(Sampler(**settings) for settings in RECORD["settings"].values())
    assert set(RECORD["measured"]) == {*RECORD["settings"], "real text"}
    assert all(
        loss > 0 and 0 < distinct <= 1 and 0 < known <= 1 for loss, distinct, known in RECORD["measured"].values()
    )
