"""`minigpt presets`."""

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from minigpt.cli.options import console
from minigpt.config import load_preset, model_preset, preset_names
from minigpt.planning.counting import num_parameters
from minigpt.utils.errors import UserError


def presets(
    name: Annotated[str | None, typer.Argument(help="Show one preset in full: a name, or a .json file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the preset as a file to change.")] = False,
) -> None:
    """List the named architectures with their sizes, or show one in full.

    Example: minigpt presets tiny_char --json > my.json
    """
    if name is None and as_json:
        raise UserError("Name the preset to print, as in `minigpt presets tiny_char --json`.")
    if name is None:
        _list_presets()
    elif as_json:
        typer.echo(load_preset(name).to_json())
    else:
        _show_preset(name)


def _list_presets() -> None:
    """Print a table of all presets, the smallest first."""
    titles = ("layers", "heads", "width", "context", "vocab", "head", "parameters")
    table = Table(Column("preset", no_wrap=True), *(Column(title, justify="right", no_wrap=True) for title in titles))
    table.box, table.padding = SIMPLE_HEAD, (0, 1, 0, 0)
    for name, config in sorted(
        ((name, model_preset(name)) for name in preset_names()), key=lambda row: num_parameters(row[1])
    ):
        sizes = (config.n_layer, config.n_head, config.n_embd, config.block_size, config.vocab_size)
        head = "tied" if config.tie_weights else "own"
        table.add_row(name, *(f"{size:,}" for size in sizes), head, f"{num_parameters(config):,}")
    console.print(table)


def _show_preset(name: str) -> None:
    """Print a preset's description, its architecture and the training it recommends."""
    shown = load_preset(name)
    typer.echo(f"{name}: {shown.description}" if shown.description else name)
    table = Table("field", "value", show_header=False)
    for field, value in (shown.model.to_dict() | {"mlp_dim": shown.model.hidden_dim}).items():
        table.add_row(field, str(value))
    table.add_section()
    for field, value in shown.training.to_dict().items():
        table.add_row(field, repr(value))
    console.print(table)
    typer.echo(f"{num_parameters(shown.model):,} parameters")
