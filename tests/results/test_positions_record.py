"""The record of models that read on past their training context holds what the chapter on rotary positions shows."""

import json

import pytest

from minigpt import GPTConfig, asset_path
from minigpt.planning import counting

RECORD = json.loads(asset_path("results/positions.json").read_text(encoding="utf-8"))
SCHEMES = ("learned", "none", "sinusoidal", "rope", "alibi")
WAYS = ("as it is", "last 64 only", "places divided", "larger base")


def mean(losses):
    return sum(losses) / len(losses)


@pytest.mark.parametrize("scheme", [*SCHEMES, "rope, trained long"])
def test_every_scheme_has_the_same_seeds_and_a_loss_for_every_place(scheme):
    runs = RECORD["runs"][scheme]
    assert runs.keys() == RECORD["runs"]["rope"].keys() and "1" in runs
    for run in runs.values():
        assert len(run["by_place"]) == (64 if scheme == "learned" else 256)
        assert all(0 < loss < 20 for loss in run["by_place"])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_sizes_are_those_of_the_models(scheme):
    config = GPTConfig.from_dict(RECORD["config"]).replace(position=scheme)
    assert counting.num_parameters(config) == RECORD["parameters"][scheme]


@pytest.mark.parametrize("seed", RECORD["runs"]["rope"])
def test_the_schemes_behave_as_the_chapter_says(seed):
    inside = {name: mean(RECORD["runs"][name][seed]["by_place"][32:64]) for name in SCHEMES}
    after = {name: mean(RECORD["runs"][name][seed]["by_place"][64:96]) for name in SCHEMES if name != "learned"}
    far = {name: mean(RECORD["runs"][name][seed]["by_place"][224:]) for name in SCHEMES if name != "learned"}
    assert min(inside, key=inside.get) == "rope"
    assert after["sinusoidal"] > inside["sinusoidal"] + 0.5
    assert after["rope"] < inside["rope"] + 0.1
    assert far["rope"] > inside["rope"] + 0.4
    assert far["none"] > inside["none"] + 0.05
    assert abs(far["alibi"] - inside["alibi"]) < 0.1


def test_on_average_rotary_positions_end_worse_than_none_at_all():
    ends = {
        name: mean([mean(run["by_place"][224:]) for run in RECORD["runs"][name].values()]) for name in ("rope", "none")
    }
    assert ends["rope"] > ends["none"] + 0.05


@pytest.mark.parametrize("run", RECORD["runs"]["rope"].values(), ids=RECORD["runs"]["rope"])
def test_the_ways_behave_as_the_chapter_says(run):
    assert tuple(run["ways"]) == WAYS
    assert run["ways"]["as it is"]["before"] == run["by_place"]
    inside = mean(run["by_place"][32:64])
    before = {way: mean(losses["before"][224:]) for way, losses in run["ways"].items()}
    after = {way: mean(losses["after"][224:]) for way, losses in run["ways"].items()}
    assert before["last 64 only"] < inside + 0.1 < before["larger base"] < before["as it is"] < before["places divided"]
    assert mean(run["ways"]["places divided"]["before"][32:64]) > inside + 0.5
    assert mean(run["ways"]["larger base"]["before"][32:64]) < inside + 0.1
    assert after["last 64 only"] < after["larger base"] < after["as it is"] < after["places divided"]


def test_a_longer_window_was_worth_nothing():
    for seed, long in RECORD["runs"]["rope, trained long"].items():
        short = RECORD["runs"]["rope"][seed]["by_place"]
        assert abs(mean(long["by_place"][224:]) - mean(long["by_place"][32:64])) < 0.05
        assert mean(long["by_place"][32:64]) > mean(short[32:64])
