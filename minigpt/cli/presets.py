"""`minigpt presets`."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from minigpt.cli.shared import console
from minigpt.config import require
from minigpt.planning.counting import count
from minigpt.presets import preset, preset_names, whole_preset


def presets(
    name: Annotated[str | None, typer.Argument(help="Show one preset in full: a name, or a .json file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the preset as a file to change.")] = False,
) -> None:
    """List the named architectures with their sizes, or show one in full.

    Example: minigpt presets tiny_char --json > my.json
    """
    require(name is not None or not as_json, "Name the preset to print, as in `minigpt presets tiny_char --json`.")
    if name is None:
        list_presets()
    elif as_json:
        typer.echo(whole_preset(name).to_json())
    else:
        show_preset(name)


def list_presets() -> None:
    """Print a table of all presets, the smallest first."""
    titles = ("layers", "heads", "width", "context", "vocab", "head", "parameters")
    table = Table(Column("preset", no_wrap=True), *(Column(title, justify="right", no_wrap=True) for title in titles))
    table.box, table.padding = SIMPLE_HEAD, (0, 1, 0, 0)
    for name, config in sorted(((name, preset(name)) for name in preset_names()), key=lambda row: count(row[1])):
        sizes = (config.n_layer, config.n_head, config.n_embd, config.block_size, config.vocab_size)
        head = "tied" if config.tie_weights else "own"
        table.add_row(name, *(f"{size:,}" for size in sizes), head, f"{count(config):,}")
    console.print(table)


def show_preset(name: str) -> None:
    """Print a preset's description, its architecture and the training it recommends."""
    shown = whole_preset(name)
    typer.echo(f"{name}: {shown.description}" if shown.description else name)
    table = Table("field", "value", show_header=False)
    for field, value in (shown.model.to_dict() | {"mlp_hidden": shown.model.hidden}).items():
        table.add_row(field, str(value))
    table.add_section()
    for field, value in shown.training.to_dict().items():
        table.add_row(field, repr(value))
    console.print(table)
    typer.echo(f"{count(shown.model):,} parameters")
