"""The records of the play by heart and of the little stories, and the benchmark that makes the first, in miniature."""

import json

import pytest

from minigpt import GPTConfig, UserError, asset_path, load_corpus, read_run
from minigpt.data.toy_stories import classify_story, story_entropy
from minigpt.planning.counting import num_parameters

PLAY = json.loads(asset_path("results/memorization.json").read_text(encoding="utf-8"))
STORIES = json.loads(asset_path("results/toy-stories.json").read_text(encoding="utf-8"))


def test_the_play_was_learnt_by_heart_and_other_text_was_not():
    first, last = PLAY["points"][0], PLAY["points"][-1]
    assert PLAY["floor"] < last["recent_loss"] < PLAY["target"] < first["recent_loss"]
    assert last["loss"]["play"] > PLAY["floor"]
    assert last["loss"]["held_out"] > first["loss"]["held_out"]
    best, by_heart = PLAY["on_all_held_out"]["best"]["loss"], PLAY["on_all_held_out"]["last"]["loss"]
    assert PLAY["beside"]["on_all_held_out"]["loss"] < best < by_heart


def test_the_record_of_the_run_belongs_to_the_measurements():
    run = read_run(asset_path("results/memorization.jsonl"))
    changes = [resumed["changes"] for resumed in run.header["resumed"]]  # of the learning rate, by hand
    assert run.header["model"] == PLAY["model"]
    assert run.header["training"] | changes[-1] == PLAY["training"]
    assert run.records[-1].step == PLAY["points"][-1]["step"]
    assert num_parameters(GPTConfig.from_dict(PLAY["model"])) == PLAY["parameters"]
    steps = [point["step"] for point in PLAY["points"]]
    assert steps == sorted(set(steps))


def test_every_measurement_has_a_loss_for_each_place_of_a_window():
    for point in [*PLAY["points"], PLAY["beside"]]:
        for part, losses in point["by_place"].items():
            assert len(losses) == PLAY["model"]["block_size"]
            assert sum(losses) / len(losses) == pytest.approx(point["loss"][part], abs=0.002)


def test_no_model_of_the_little_stories_foresees_the_lot():
    assert STORIES["nats"] == {
        "remembers": pytest.approx(story_entropy()),
        "forgets": pytest.approx(story_entropy(remembers=False)),
    }
    for run in STORIES["runs"]:
        assert run["curve"][-1][1] > story_entropy() - 0.5  # the mean of 128 stories
        assert sum(run["judged"].values()) == 200
        assert {classify_story(story) for story in run["stories"]} <= set(run["judged"])


@pytest.mark.slow
def test_the_benchmark_in_miniature_stops_at_its_target_and_goes_on_after_a_break(tmp_path, monkeypatch):
    try:
        load_corpus("shakespeare-plays")
    except UserError as error:
        pytest.skip(str(error))
    from experiments import memorization as module

    monkeypatch.setattr(module, "MEASURED_AFTER", (2,))
    monkeypatch.setattr("experiments.memorization_part.WRITTEN_TOKENS", 4)
    materials = module.Materials(small=True)
    settings = {"max_steps": 3, "eval_every": 1, "eval_sequences": 2, "save_every": 3}
    settings |= {"learning_rate": 1e-3, "min_learning_rate": 1e-3}
    out = tmp_path / "memorization.json"
    module.memorise(materials, tmp_path / "run", out, target=0.1, settings=settings)
    before = json.loads(out.read_text("utf-8"))
    assert [point["step"] for point in before["points"]] == [2]
    module.memorise(materials, tmp_path / "run", out, target=100.0, settings=settings)  # nothing is left to do
    assert json.loads(out.read_text("utf-8"))["points"] == before["points"]
    assert read_run(out.with_suffix(".jsonl")).records[-1].step == 3
    module.memorise(materials, tmp_path / "other", out, target=100.0, settings=settings)
    assert [point["step"] for point in json.loads(out.read_text("utf-8"))["points"]] == [1]
