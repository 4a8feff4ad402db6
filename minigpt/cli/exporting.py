"""`minigpt export`."""

from pathlib import Path
from typing import Annotated

import typer

from minigpt import checkpoint
from minigpt.cli.shared import CheckpointFolder
from minigpt.model import count_parameters
from minigpt.pretrained import export


def export_hf(
    checkpoint_folder: CheckpointFolder,
    out: Annotated[Path, typer.Option(help="The new folder to write; it must not exist.")],
) -> None:
    """Write a model as a GPT-2 in Hugging Face's layout: config.json and model.safetensors.

    The tokenizer goes along as minigpt-tokenizer.json, which minigpt.load_tokenizer reads.

    Example: minigpt export hf --checkpoint runs/mine --out mine-hf
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    export(model, out)
    tokenizer.save(out / "minigpt-tokenizer.json")
    typer.echo(f"{count_parameters(model):,} parameters are written to {out}. To read them back:")
    typer.echo(f"  minigpt.pretrained.from_pretrained({str(out)!r})")
    typer.echo(f"  transformers.GPT2LMHeadModel.from_pretrained({str(out)!r})")
