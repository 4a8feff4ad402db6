"""The speedrun in miniature: what the clock counts, what a model may see, and that a second call goes on."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from minigpt import Split, UserError

SIZES = {"block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}
VOCABULARY = 11
RECORD = Path(__file__).parents[2] / "results" / "speedrun.json"


@pytest.fixture
def modules(monkeypatch):
    """The modules of the benchmark, by their last names."""
    from experiments.speedrun import model, recipe, run, training

    return SimpleNamespace(main=run, model=model, recipe=recipe, training=training)


@pytest.fixture
def recipes(modules):
    """Every recipe, with a tiny model and two steps."""
    found = {**modules.recipe.LADDER, **modules.main.TRACKS["time"], **modules.main.TRACKS["loss"]}
    return {name: tiny(recipe) for name, recipe in found.items()}


def tiny(recipe):
    return recipe.changed({"model": SIZES, "ngram_rows": 50, "steps": 2, "batch_size": 2})


def split(seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    return Split(
        torch.randint(VOCABULARY, (100,), generator=torch.Generator().manual_seed(0)),
        torch.randint(VOCABULARY, (60,), generator=generator),
    )


def test_every_model_is_causal_and_learns(modules, recipes):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(VOCABULARY, (2, 8), generator=generator)
    later = torch.cat((ids[:, :5], (ids[:, 5:] + 1) % VOCABULARY), dim=1)
    for name, recipe in recipes.items():
        model = modules.model.build(recipe, VOCABULARY, seed=1)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
        torch.testing.assert_close(model(ids)[:, :5], model(later)[:, :5], msg=name)
        assert not torch.allclose(model(ids)[:, 5:], model(later)[:, 5:]), name


def test_every_parameter_is_moved_by_exactly_one_optimizer(modules, recipes):
    for name, recipe in recipes.items():
        model = modules.model.build(recipe, VOCABULARY, seed=1)
        optimizers = modules.training.make_optimizers(model, recipe)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        moved = [id(parameter) for group in groups for parameter in group["params"]]
        assert sorted(moved) == sorted(id(parameter) for parameter in model.parameters()), name
        assert all(parameter.requires_grad for parameter in model.parameters()), name


def test_an_ngram_is_told_by_its_last_tokens_and_by_nothing_else(modules):
    embedding = modules.model.NGramEmbedding(VOCABULARY, 4, (2, 3), rows=10**6)
    for table in (embedding.token, *embedding.tables):
        torch.nn.init.normal_(table.weight, generator=torch.Generator().manual_seed(0))
    base = torch.tensor([[3, 1, 4, 1, 5]])
    for back in range(5):
        changed = base.clone()
        changed[0, 4 - back] += 1
        same = torch.equal(embedding(base)[0, 4], embedding(changed)[0, 4])
        assert same == (back > 2)
    rows = [embedding.row(torch.tensor([[a, b]]), 2, 10**6)[0, 1].item() for a in range(11) for b in range(11)]
    assert len(set(rows)) == 121  # as long as there are enough rows, no two share one


def test_the_clock_stands_still_during_evaluation(modules, recipes, monkeypatch):
    time = [0.0]

    def tick() -> float:
        time[0] += 1
        return time[0]

    def slow(*arguments, **settings):
        time[0] += 1000
        return SimpleNamespace(loss=1.0)

    monkeypatch.setattr(modules.training, "perf_counter", tick)
    monkeypatch.setattr(modules.training, "evaluate", slow)
    run = modules.training.train(recipes["baseline"], split(), VOCABULARY, seed=1)
    assert run["seconds"] == 3  # one for building, one for each step
    assert [seconds for seconds, _ in run["curve"]] == [1, 2, 3]
    limited = recipes["baseline"].replace(steps=0)
    run = modules.training.train(limited, split(), VOCABULARY, seed=1, seconds=5.5)
    assert (run["seconds"], run["steps"]) == (5, 4)  # a sixth second would be too late


def test_the_schedule_rises_and_falls_to_its_last_share(modules):
    rate = modules.training.share_of_rate
    baseline = modules.recipe.BASELINE
    assert rate(0.01, baseline) == pytest.approx(0.2)
    assert rate(0.05, baseline) == pytest.approx(1.0)
    assert rate(1.0, baseline) == pytest.approx(0.1)
    straight = baseline.replace(schedule="linear", warmup=0.0, last_rate=0.0)
    assert [rate(progress, straight) for progress in (0.0, 0.25, 1.0)] == pytest.approx([1.0, 0.75, 0.0])


def test_training_sees_nothing_of_the_validation_part(modules, recipes, monkeypatch):
    models = []
    build = modules.training.build
    monkeypatch.setattr(modules.training, "build", lambda *given: models.append(build(*given)) or models[-1])
    for name in ("baseline", "no n-grams", "record"):
        recipe = recipes[name]
        runs = [modules.training.train(recipe, split(seed), VOCABULARY, seed=1) for seed in (1, 2)]
        assert runs[0]["loss"] != runs[1]["loss"], name
        for mine, other in zip(models[-2].parameters(), models[-1].parameters(), strict=True):
            assert torch.equal(mine, other), name


@pytest.fixture
def measure(modules, recipes, monkeypatch, tmp_path):
    """Run the benchmark in miniature with two entries, and return its record."""
    few = {"time": {name: recipes[name] for name in ("baseline", "record")}, "loss": {"lowest": recipes["lowest"]}}
    monkeypatch.setattr(modules.main, "TRACKS", few)
    monkeypatch.setattr(modules.main, "LADDER", {"one idea": recipes["record"].replace(batch_size=1)})
    threads = torch.get_num_threads()

    def run(*arguments: str) -> dict:
        modules.main.main(["--tiny", "--threads", "1", "--out", str(tmp_path / "record.json"), *arguments])
        return json.loads((tmp_path / "record.json").read_text("utf-8"))

    yield run
    torch.set_num_threads(threads)


def test_a_second_call_goes_on_where_the_first_was_stopped(measure, modules, capsys):
    first = measure("--seeds", "1")
    assert [(name, list(entry["runs"])) for name, entry in first["entries"].items()] == [
        ("baseline", ["1"]),
        ("record", ["1"]),
    ]
    capsys.readouterr()
    second = measure("--seeds", "1", "2", "--ladder", "--track", "loss")
    told = [line.split(": ")[0].split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert told[:2] == ["seed 2, baseline", "seed 2, record"]
    assert [told.count(f"seed {seed}, {name}") for seed in (1, 2) for name in ("lowest", "one idea")] == [1, 1, 1, 1]
    assert second["entries"]["record"]["runs"]["1"] == first["entries"]["record"]["runs"]["1"]
    assert second["entries"]["lowest"]["seconds_given"] == second["entries"]["baseline"]["seconds"]["mean"]
    ratio = second["entries"]["baseline"]["seconds"]["mean"] / second["entries"]["record"]["seconds"]["mean"]
    assert second["entries"]["record"]["times_sooner"] == pytest.approx(ratio, abs=0.01)


def test_a_changed_recipe_is_measured_again(measure, modules):
    first = measure("--seeds", "1")
    modules.main.TRACKS["time"]["record"] = modules.main.TRACKS["time"]["record"].replace(learning_rate=0.5)
    second = measure("--seeds", "1")
    assert second["entries"]["baseline"] == first["entries"]["baseline"]
    assert second["entries"]["record"]["runs"]["1"]["loss"] != first["entries"]["record"]["runs"]["1"]["loss"]


def test_a_mistake_in_a_recipe_is_named(modules):
    with pytest.raises(UserError, match="no schedule = 'flat'; choose one of cosine, linear"):
        modules.recipe.BASELINE.changed({"schedule": "flat"})
    with pytest.raises(UserError, match="did you mean 'ngrams'"):
        modules.recipe.BASELINE.changed({"ngram": [2]})


def test_a_trial_is_added_to_those_before(modules, monkeypatch, tmp_path, recipes):
    from experiments.speedrun import trials as speedrun_trials

    monkeypatch.setattr(speedrun_trials, "BASES", {"record": recipes["record"]})
    for name in ("perf_counter", "evaluate"):
        monkeypatch.setattr(modules.training, name, getattr(modules.training, name))  # put back afterwards
    path = tmp_path / "trials.json"
    for question, *changes in (("More?", '{"batch_size": 3}'), ("Less?",)):
        speedrun_trials.main([question, *changes, "--tiny", "--out", str(path)])
    groups = json.loads(path.read_text("utf-8"))["groups"]
    assert [(group["question"], len(group["trials"])) for group in groups] == [("More?", 2), ("Less?", 1)]
    assert [one["changed"] for one in groups[0]["trials"]] == ["nothing (record)", "batch_size: 3"]
    assert groups[0]["trials"][0]["loss"] == groups[1]["trials"][0]["loss"]


@pytest.mark.skipif(not RECORD.exists(), reason="the speedrun is not recorded yet")
def test_the_record_is_of_these_recipes_and_reaches_the_target(modules):
    entries = json.loads(RECORD.read_text("utf-8"))["entries"]
    known = {**modules.recipe.LADDER, **modules.main.TRACKS["time"], **modules.main.TRACKS["loss"]}
    assert {name: entry["recipe"] for name, entry in entries.items()} == {
        name: known[name].to_dict() for name in entries
    }
    assert entries["record"]["reached"]
    assert len({tuple(entry["runs"]) for entry in entries.values()}) == 1, "every entry needs the same seeds"


def test_times_of_two_machines_are_not_mixed(measure, modules, monkeypatch):
    measure("--seeds", "1")
    other = modules.main.environment_info() | {"processor": "another"}
    monkeypatch.setattr(modules.main, "environment_info", lambda: other)
    with pytest.raises(UserError, match="choose another file with --output"):
        measure("--seeds", "2")
