"""`minigpt export web`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from minigpt import checkpoint
from minigpt.cli.materials import open_material
from minigpt.cli.shared import TextFile
from minigpt.quantisation import STORES
from minigpt.web_export import WEIGHTS, export_web, measure_rounding, require_readable

Precision = StrEnum("Precision", {name: name for name in STORES})  # type: ignore[misc]


def export_page(
    checkpoint_folder: Annotated[Path, typer.Argument(help="A checkpoint, or the folder of a training run.")],
    out: Annotated[Path, typer.Option(help="The new folder to write; it must not exist.")],
    precision: Annotated[
        Precision, typer.Option(help="One byte for each weight, or two bytes of floating point.")
    ] = Precision.int8,  # type: ignore[attr-defined]
    corpus: Annotated[
        str | None, typer.Option(help="Measure the loss with the rounded weights on the last tenth of this corpus.")
    ] = None,
    text: TextFile = None,
    max_windows: Annotated[
        int | None, typer.Option(min=1, help="Measure on only so many windows, spread evenly, to save time.")
    ] = None,
) -> None:
    """Write a model for a web page: weights.bin, and manifest.json that says what stands where in it.

    The book's playground reads these. Without a corpus or a text of your own, the loss is not measured.

    Example: minigpt export web checkpoints/tiny --out tiny-web --corpus tinyshakespeare
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    require_readable(model, tokenizer)
    measured = None
    if corpus is not None or text is not None:
        material = open_material(corpus, text, tokenizer)
        measured = measure_rounding(model, precision, material.data.validation, material.name, max_windows)
    manifest = export_web(model, tokenizer, out, precision, measured)
    typer.echo(f"{manifest['weights']['bytes']:,} bytes of weights in {precision} are in {out / WEIGHTS}.")
    if measured:
        typer.echo(
            f"Loss on {measured['tokens']:,} tokens of {measured['text']}: {measured['loss']:.4f} nats per token with "
            f"the weights as they are, {measured['rounded_loss']:.4f} as they are stored."
        )
    else:
        typer.echo("The loss was not measured; name a text with --corpus or --text.")
