"""`minigpt presets`, `minigpt params` and `minigpt data`."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.table import Column, Table

from minigpt import checkpoint
from minigpt.cli.shared import console
from minigpt.config import GPTConfig, require
from minigpt.corpora import CORPORA, load_corpus
from minigpt.errors import UserError
from minigpt.hooks import parameter_table
from minigpt.model import GPT, count_parameters
from minigpt.presets import describe_preset, preset, preset_names, training_preset


def presets(name: Annotated[str | None, typer.Argument(help="Show one preset in full.")] = None) -> None:
    """List the named architectures with their sizes, or show one in full."""
    if name is not None:
        show_preset(name)
        return
    table = Table(Column("preset", no_wrap=True), "layers", "heads", "width", "context", "vocab", "parameters")
    for each in preset_names():
        config = preset(each)
        sizes = (config.n_layer, config.n_head, config.n_embd, config.block_size, config.vocab_size)
        table.add_row(each, *map(str, sizes), f"{count_parameters(blueprint(config)):,}")
    console.print(table)


def show_preset(name: str) -> None:
    """Print a preset's description, its architecture and the training it recommends."""
    config, settings = preset(name), training_preset(name)
    typer.echo(f"{name}: {describe_preset(name)}")
    table = Table("field", "value", show_header=False)
    for field, value in (config.to_dict() | {"mlp_hidden": config.hidden}).items():
        table.add_row(field, str(value))
    table.add_section()
    for field, value in settings.to_dict().items():
        table.add_row(field, repr(value))
    console.print(table)
    typer.echo(f"{count_parameters(blueprint(config)):,} parameters")


def params(
    preset_name: Annotated[str | None, typer.Option("--preset", help="Count the parameters of a preset.")] = None,
    checkpoint_folder: Annotated[Path | None, typer.Option("--checkpoint", help="Count those of a checkpoint.")] = None,
    vocab_size: Annotated[int | None, typer.Option(help="Another vocabulary for the preset.")] = None,
) -> None:
    """List every parameter of a model with its shape and its size.

    Example: minigpt params --preset tiny-shakespeare
    """
    require(
        (preset_name is None) != (checkpoint_folder is None),
        "Name what to count: either --preset or --checkpoint, and not both.",
    )
    if checkpoint_folder is not None:
        require(vocab_size is None, "--vocab-size changes a preset; a checkpoint has its own vocabulary.")
        model = checkpoint.load(checkpoint_folder).model
    else:
        changes = {} if vocab_size is None else {"vocab_size": vocab_size}
        model = blueprint(preset(preset_name, **changes))
    table = Table("parameter", "shape", "numbers")
    table.columns[2].justify = "right"
    for name, shape, size in parameter_table(model):
        table.add_row(name, " x ".join(map(str, shape)), f"{size:,}")
    table.add_section()
    table.add_row("in all", "", f"{count_parameters(model):,}")
    console.print(table)


def blueprint(config: GPTConfig) -> GPT:
    """Build a model without memory for its weights, to count them."""
    with torch.device("meta"):
        return GPT(config)


def list_corpora() -> None:
    """Say of each corpus whether it can be had here, and how large it is."""
    for name in CORPORA:
        try:
            typer.echo(str(load_corpus(name)))
        except UserError as error:
            typer.echo(f"{name}: not at hand. {error}")


def show_corpus(
    name: Annotated[str, typer.Argument(help="The corpus.")],
    characters: Annotated[int, typer.Option(min=0, help="How much of its beginning to print.")] = 300,
) -> None:
    """Print a corpus's size, its vocabulary and its beginning."""
    corpus = load_corpus(name)
    typer.echo(f"{corpus}\nsha256 {corpus.sha256}\nvocabulary {''.join(sorted(set(corpus.text)))!r}\n")
    typer.echo(corpus.text[:characters])


def save_corpus(
    name: Annotated[str, typer.Argument(help="The corpus.")],
    file: Annotated[Path, typer.Argument(help="The text file to write; it must not exist.")],
) -> None:
    """Write a corpus to a text file."""
    require(not file.exists(), f"{file} exists already; choose another name.")
    corpus = load_corpus(name)
    file.write_bytes(corpus.text.encode("utf-8"))
    typer.echo(f"{corpus}\nWritten to {file}.")
