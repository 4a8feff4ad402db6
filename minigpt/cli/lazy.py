"""Commands whose modules are imported when they are called, so that `minigpt --help` need not wait for PyTorch."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

Commands = dict[str, tuple[str, str]]  # name: the function, as `module:function`, and the first paragraph of its help


def lazy_group(commands: Commands) -> type[TyperGroup]:
    """Return the class of a group with these commands, for `typer.Typer(cls=…)`."""

    class OnDemandGroup(TyperGroup):
        """A group in which a name and a line of help stand in for each command until it is called."""

        commands: dict[str, Any]

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            stand_ins = {name: TyperCommand(name, help=line) for name, (_, line) in commands.items()}
            self.commands = {**stand_ins, **self.commands}

        def resolve_command(self, context: Any, arguments: list[str]) -> tuple[Any, Any, list[str]]:
            name, _, rest = super().resolve_command(context, arguments)
            return name, self.load(name), rest

        def load(self, name: str) -> Any:
            """Return the command itself, and let it take the place of what stood in for it."""
            if name in commands:
                module, function = commands[name][0].split(":")
                alone = typer.Typer(add_completion=False)
                alone.command(name)(getattr(import_module(f"minigpt.cli.{module}"), function))
                self.commands[name] = typer.main.get_command(alone)
            return self.commands[name]

    return OnDemandGroup
