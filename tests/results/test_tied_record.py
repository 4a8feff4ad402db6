"""The record of tied and untied heads holds the models that the benchmark names, and what the chapter shows of them."""

import json

from minigpt import GPTConfig, asset_path
from minigpt.planning import counting

RECORD = json.loads(asset_path("results/tied-or-untied.json").read_text(encoding="utf-8"))


def test_it_holds_the_three_models_with_their_sizes():
    sizes = {}
    for name, model in RECORD["models"].items():
        assert counting.num_parameters(GPTConfig.from_dict(model["config"])) == model["parameters"]
        sizes[name] = model["parameters"]
    assert list(sizes) == ["tied", "untied, same width", "untied, same size"]
    assert abs(sizes["untied, same size"] / sizes["tied"] - 1) < 0.05


def test_every_length_has_the_same_seeds_for_every_model():
    for length in ("400", "800"):
        runs = [model["runs"][length] for model in RECORD["models"].values()]
        assert runs[0] and all(each.keys() == runs[0].keys() for each in runs)
        for run in (run for each in runs for run in each.values()):
            steps = [step for step, _ in run["curve"]]
            assert steps == sorted(steps) and steps[-1] == int(length)
            assert 0 < run["final"] < 7.7
