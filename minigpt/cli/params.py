"""`minigpt params`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from minigpt import checkpoint
from minigpt.cli.options import (
    CHECKPOINT_HELP,
    PresetName,
    add_options,
    chosen_architecture,
    console,
)
from minigpt.config import GPTConfig
from minigpt.model.gpt import meta_model
from minigpt.model.hooks import parameter_table
from minigpt.planning.counting import fill_in, num_parameters, parameter_breakdown, symbols
from minigpt.utils.errors import UserError

NAMES = {
    "V": "vocabulary",
    "T": "context",
    "L": "layers",
    "C": "width",
    "F": "width inside the MLP",
    "D": "width of a head",
    "K": "width of all keys",
}


@add_options(sizes=GPTConfig, leave_out=("vocab_size",))
def params(
    *,
    preset_name: PresetName = None,
    checkpoint_folder: Annotated[Path | None, typer.Option("--checkpoint", help=CHECKPOINT_HELP)] = None,
    sizes: dict[str, Any],
    vocab_size: Annotated[int | None, typer.Option(help="Distinct tokens; may stand beside --preset.")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for the sizes one by one.")] = False,
    formula: Annotated[bool, typer.Option("--formula", help="Show the formula of each part.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List every single parameter with its shape.")] = False,
) -> None:
    """Count the parameters of a model, part by part.

    Examples: minigpt params --preset tiny-shakespeare --formula
    minigpt params --n-layer 4 --n-head 4 --n-embd 128 --block-size 128 --vocab-size 65
    """
    ways = {"--preset": preset_name is not None, "--checkpoint": checkpoint_folder is not None}
    ways |= {"--interactive": interactive}
    given = [name for name, used in ways.items() if used]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} each name a model to count; keep one of them.")
    if every and formula:
        raise UserError("--all and --formula are two views; choose one of them.")
    if checkpoint_folder is not None or interactive:
        others = bool(sizes) or vocab_size is not None
        if others:
            raise UserError(f"{given[0]} already says which model is meant; leave the sizes out.")
    if checkpoint_folder is not None:
        config = checkpoint.load(checkpoint_folder).model.config
    else:
        config = ask() if interactive else chosen_architecture(preset_name, vocab_size, sizes)
    if every:
        _show_every_parameter(config)
    else:
        _show_parts(config, formula)


def ask() -> GPTConfig:
    """Ask for the sizes of a model, each with a small model's as a proposal."""
    sizes = {"vocab_size": 65, "block_size": 256, "n_layer": 4, "n_head": 4, "n_embd": 128}
    answers = {name: typer.prompt(name, default=size, type=int) for name, size in sizes.items()}
    answers["mlp_dim"] = typer.prompt("mlp_dim", default=4 * answers["n_embd"], type=int)
    answers["bias"] = typer.confirm("bias", default=True)
    answers["tie_weights"] = typer.confirm("tie_weights", default=False)
    return GPTConfig(**answers)


def _show_parts(config: GPTConfig, formula: bool) -> None:
    """Print the parts of a model with their sizes and shares, or with their formulas."""
    total = num_parameters(config)
    number = Column("parameters", justify="right")
    titles = ("formula", "with numbers", number) if formula else (number, Column("share", justify="right"))
    table = Table("part", *titles)
    for part in parameter_breakdown(config):
        if formula:
            table.add_row(part.name, part.formula, fill_in(part.formula, config), f"{part.count:,}")
        else:
            table.add_row(part.name, f"{part.count:,}", f"{part.count / total:.1%}")
    table.add_section()
    table.add_row(*(("in all", "", "", f"{total:,}") if formula else ("in all", f"{total:,}", "")))
    if formula:
        formulas = "".join(part.formula for part in parameter_breakdown(config))
        used = {symbol: size for symbol, size in symbols(config).items() if symbol in formulas}
        typer.echo(", ".join(f"{symbol} = {size:,} ({NAMES[symbol]})" for symbol, size in used.items()))
    console.print(table)


def _show_every_parameter(config: GPTConfig) -> None:
    """Print every parameter of a model with its shape and its size."""
    table = Table("parameter", "shape", Column("numbers", justify="right"))
    for name, shape, size in parameter_table(meta_model(config)):
        table.add_row(name, " x ".join(map(str, shape)), f"{size:,}")
    table.add_section()
    table.add_row("in all", "", f"{num_parameters(config):,}")
    console.print(table)
