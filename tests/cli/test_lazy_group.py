"""Commands that are imported when they are called are the ones that the help has promised."""

import inspect

import pytest
import typer

from minigpt.cli import typer_app as app

COMMAND_LINE = typer.main.get_command(app)
GROUPS = {"": COMMAND_LINE} | {name: group for name, group in COMMAND_LINE.commands.items() if hasattr(group, "load")}
COMMANDS = [(group, name) for group, found in GROUPS.items() for name in found.commands if name not in GROUPS]


@pytest.mark.parametrize(("group", "name"), COMMANDS)
def test_the_help_of_a_group_says_what_the_command_says(group, name):
    line = GROUPS[group].commands[name].help
    command = GROUPS[group].load(name)
    assert command.name == name and command.callback.__module__.startswith("minigpt.cli.")
    assert line == " ".join(inspect.getdoc(command.callback).split("\n\n")[0].split())


@pytest.mark.parametrize(("group", "name"), COMMANDS)
def test_every_command_explains_itself(minigpt, group, name):
    words = [*group.split(), name]
    code, out, err = minigpt(*words, "--help")
    assert (code, err) == (0, "") and f"Usage: minigpt {' '.join(words)}" in out and "-h" in out
    assert " ".join(GROUPS[group].load(name).help.split("\n")[0].split()[:5]) in out


def test_a_misspelt_command_brings_the_right_one_to_mind(minigpt):
    code, _, err = minigpt("trane")
    assert code == 2 and "Did you mean 'train'?" in err
    code, _, err = minigpt("data", "lis")
    assert code == 2 and "Did you mean 'list'?" in err
