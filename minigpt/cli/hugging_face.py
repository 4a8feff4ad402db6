"""`minigpt export hf` and `minigpt import hf`."""

from pathlib import Path
from typing import Annotated

import typer

from minigpt import checkpoint
from minigpt.bpe.tokenizer import END_OF_TEXT, BPETokenizer
from minigpt.cli.shared import CheckpointFolder
from minigpt.config import require
from minigpt.model import count_parameters
from minigpt.pretrained import export, from_pretrained
from minigpt.tokenizers import Tokenizer, load_tokenizer

TOKENIZER = "minigpt-tokenizer.json"
GPT2_VOCABULARY = 50_257


def export_hf(
    checkpoint_folder: CheckpointFolder,
    out: Annotated[Path, typer.Option(help="The new folder to write; it must not exist.")],
) -> None:
    """Write a model as a GPT-2 in Hugging Face's layout: config.json and model.safetensors.

    The tokenizer goes along as minigpt-tokenizer.json, which minigpt.load_tokenizer reads.

    Example: minigpt export hf --checkpoint runs/mine --out mine-hf
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    export(model, out, end_of_text=getattr(tokenizer, "special_ids", {}).get(END_OF_TEXT))
    tokenizer.save(out / TOKENIZER)
    typer.echo(f"{count_parameters(model):,} parameters are written to {out}. To read them back:")
    typer.echo(f"  minigpt.pretrained.from_pretrained({str(out)!r})")
    typer.echo(f"  transformers.GPT2LMHeadModel.from_pretrained({str(out)!r})")


def import_hf(
    folder: Annotated[Path, typer.Argument(help="A GPT-2 in Hugging Face's layout.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
) -> None:
    """Make a checkpoint of a GPT-2 in Hugging Face's layout, so that it can write, be measured and be trained further.

    Its tokenizer is the minigpt-tokenizer.json of the folder, or GPT-2's own vocabulary.

    Example: minigpt import hf gpt2 --out checkpoints/gpt2
    """
    model = from_pretrained(folder)
    checkpoint.save(out, model, find_tokenizer(folder, model.config.vocab_size))
    typer.echo(f"{count_parameters(model):,} parameters are in {out}.")


def find_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """Return the tokenizer that belongs to a folder.

    Raises:
        UserError: there is none, and the vocabulary is not of GPT-2's size.
    """
    if (folder / TOKENIZER).exists():
        return load_tokenizer(folder / TOKENIZER)
    require(
        vocab_size == GPT2_VOCABULARY,
        f"{folder} has no {TOKENIZER}, and its {vocab_size} tokens are not GPT-2's {GPT2_VOCABULARY}; put the model's "
        "tokenizer there under that name.",
    )
    return BPETokenizer.gpt2()
