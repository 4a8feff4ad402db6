"""The options of commands are the fields of the configurations: no more, no fewer, and in the same words."""

from dataclasses import MISSING, fields

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from minigpt import GPTConfig, TrainConfig, UserError, checkpoint, read_run
from minigpt.cli import typer_app
from minigpt.cli.options import add_options, chosen_architecture, flag
from minigpt.config import COMPONENTS

COMMAND_LINE = typer.main.get_command(typer_app)
PANELS = {GPTConfig: "Model", TrainConfig: "Training"}
TAKEN = [
    ("train", GPTConfig, {field.name for field in fields(GPTConfig)} - {"vocab_size"}),
    ("train", TrainConfig, {field.name for field in fields(TrainConfig)}),
    ("params", GPTConfig, {field.name for field in fields(GPTConfig)}),
    ("plan", GPTConfig, {field.name for field in fields(GPTConfig)}),
    ("plan", TrainConfig, {"max_steps", "batch_size", "grad_accum_steps"}),
]
VALUES = {int: st.integers(1, 9), float: st.floats(0, 1), str: st.sampled_from(["a", "b c", "ü"]), bool: st.booleans()}


@pytest.mark.parametrize("config", PANELS)
def test_every_field_has_a_sentence_of_help(config):
    for field in fields(config):
        assert field.metadata["help"].endswith(".") and field.metadata["help"].count(". ") == 0, field.name


@pytest.mark.parametrize(("command", "config", "names"), TAKEN)
def test_a_command_has_an_option_for_each_field_with_the_fields_help(command, config, names):
    options = {each.name: each for each in COMMAND_LINE.load(command).params}
    panel = [each.name for each in options.values() if getattr(each, "rich_help_panel", None) == PANELS[config]]
    assert panel == [field.name for field in fields(config) if field.name in names]
    for field in fields(config):
        if field.name in names:
            option = options[field.name]
            assert option.help == field.metadata["help"] and flag(field.name) in option.opts
            assert option.default is None and not option.required
            assert bool(option.secondary_opts) == (field.type is bool)


@given(st.data())
def test_a_command_gets_the_fields_that_were_given_and_no_others(data):
    chosen = data.draw(st.sets(st.sampled_from(fields(TrainConfig)).filter(lambda field: field.type in VALUES)))
    given = {field.name: data.draw(VALUES[field.type]) for field in chosen}
    words = []
    for name, value in given.items():
        words += [flag(name) if value else f"--no-{name}"] if isinstance(value, bool) else [flag(name), str(value)]
    got = {}

    @add_options("changes", TrainConfig)
    def command(*, out: str = "here", changes: dict) -> None:
        got.update(changes, out=out)

    app = typer.Typer(add_completion=False)
    app.command()(command)
    typer.main.get_command(app).main(words, standalone_mode=False)
    assert got == given | {"out": "here"}


def test_a_field_that_a_command_leaves_out_is_no_option():
    @add_options("changes", TrainConfig, only=["seed", "patience"], without=["patience"])
    def command(*, changes: dict) -> None: ...

    app = typer.Typer(add_completion=False)
    app.command()(command)
    assert [each.name for each in typer.main.get_command(app).params if each.name != "help"] == ["seed"]


SIZES = {field.name: 4 for field in fields(GPTConfig) if field.default is MISSING}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_that_does_not_exist_is_refused(name):
    with pytest.raises(UserError, match=f"{name} = 'nonsense'; choose one of {COMPONENTS[name][0]}"):
        chosen_architecture(None, SIZES | {name: "nonsense"})
    assert all(getattr(chosen_architecture(None, SIZES | {name: one}), name) == one for one in COMPONENTS[name])


@given(st.sets(st.sampled_from(sorted(SIZES)), min_size=1))
def test_every_missing_size_is_named(missing):
    with pytest.raises(UserError) as found:
        chosen_architecture(None, {name: size for name, size in SIZES.items() if name not in missing})
    assert all((flag(name) in str(found.value)) == (name in missing) for name in SIZES)


def test_every_modernisation_can_be_trained_from_the_command_line(minigpt, tmp_path, text_file):
    sizes = ("--n-layer", 1, "--n-head", 2, "--n-embd", 8, "--block-size", 8, "--n-kv-head", 1, "--dropout", 0.1)
    parts = ("--position", "rope", "--norm", "rmsnorm", "--mlp", "swiglu", "--qk-norm", "--attn-impl", "tiled")
    recipe = ("--max-steps", 1, "--batch-size", 2, "--warmup-steps", 0, "--grad-clip", 0.5, "--eval-sequences", 1)
    sample = ("--sample-every", 1, "--sample-tokens", 1, "--sample-prompt", "again")
    out = tmp_path / "run"
    code, _, err = minigpt("train", *sizes, *parts, *recipe, *sample, "--text", text_file, "--out", out)
    assert code == 0, err
    config = checkpoint.load(out).model.config
    assert (config.position, config.norm, config.mlp, config.attn_impl) == ("rope", "rmsnorm", "swiglu", "tiled")
    assert (config.n_kv_head, config.qk_norm, config.dropout) == (1, True, 0.1)
    run = read_run(out / "log.jsonl")
    assert run.header["training"]["grad_clip"] == 0.5 and run.records[0].sample.startswith("again")


def test_a_prompt_that_was_asked_for_is_not_replaced(minigpt, tmp_path, text_file):
    sizes = ("--n-layer", 1, "--n-head", 1, "--n-embd", 8, "--block-size", 8)
    asked = ("--sample-every", 1, "--sample-prompt", "Ω")
    code, _, err = minigpt("train", *sizes, "--text", text_file, "--out", tmp_path / "run", *asked)
    assert code == 1 and "'Ω' (U+03A9)" in err
