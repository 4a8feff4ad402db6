"""`minigpt export hf` and `minigpt import hf`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from minigpt import checkpoint
from minigpt.bpe.tokenizer import END_OF_TEXT, BPETokenizer
from minigpt.cli.shared import CheckpointFolder
from minigpt.config import read_json, require
from minigpt.errors import UserError, named
from minigpt.hub import find
from minigpt.model import count_parameters
from minigpt.pretrained import CONFIG, WEIGHTS, export, from_pretrained
from minigpt.tokenizer_layout import our_tokenizer, their_settings, their_tokenizer
from minigpt.tokenizers import Tokenizer, load_tokenizer

TOKENIZER = "minigpt-tokenizer.json"
THEIR_TOKENIZER = "tokenizer.json"
GPT2_VOCABULARY = 50_257


def export_hf(
    checkpoint_folder: CheckpointFolder,
    out: Annotated[Path, typer.Option(help="The new folder to write; it must not exist.")],
) -> None:
    """Write a model as a GPT-2 in Hugging Face's layout: config.json and model.safetensors.

    The tokenizer goes along twice: as minigpt-tokenizer.json, which minigpt.load_tokenizer reads, and as
    tokenizer.json, with which transformers cuts text in the same way.

    Example: minigpt export hf --checkpoint runs/mine --out mine-hf
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    export(model, out, end_of_text=getattr(tokenizer, "special_ids", {}).get(END_OF_TEXT))
    tokenizer.save(out / TOKENIZER)
    typer.echo(f"{count_parameters(model):,} parameters are written to {out}. To read them back:")
    typer.echo(f"  minigpt.pretrained.from_pretrained({str(out)!r})")
    try:
        write_json(out / THEIR_TOKENIZER, their_tokenizer(tokenizer))
    except UserError as error:
        typer.echo(f"  transformers.GPT2LMHeadModel.from_pretrained({str(out)!r})")
        typer.echo(f"transformers gets no tokenizer: {error}")
    else:
        write_json(out / "tokenizer_config.json", their_settings(tokenizer, model.config.block_size))
        typer.echo(f"  transformers.pipeline('text-generation', {str(out)!r})")


def import_hf(
    source: Annotated[str, typer.Argument(help="A GPT-2 in Hugging Face's layout: a folder, or owner/model.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit of the hub's.")] = None,
) -> None:
    """Make a checkpoint of a GPT-2 in Hugging Face's layout, so that it can write, be measured and be trained further.

    Its tokenizer is the minigpt-tokenizer.json of the folder, or its tokenizer.json, or GPT-2's own vocabulary.

    Examples: minigpt import hf openai-community/gpt2 --out checkpoints/gpt2

    minigpt import hf mine-hf --out checkpoints/mine
    """
    folder = find(source, (CONFIG, WEIGHTS, TOKENIZER, THEIR_TOKENIZER), revision)
    model = from_pretrained(folder)
    checkpoint.save(out, model, find_tokenizer(folder, model.config.vocab_size))
    typer.echo(f"{count_parameters(model):,} parameters are in {out}.")


def find_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """Return the tokenizer that belongs to a folder.

    Raises:
        UserError: there is none that minigpt can read, and the vocabulary is not of GPT-2's size.
    """
    if (folder / TOKENIZER).exists():
        return load_tokenizer(folder / TOKENIZER)
    if (folder / THEIR_TOKENIZER).exists():
        with named(folder / THEIR_TOKENIZER):
            return our_tokenizer(read_json(folder / THEIR_TOKENIZER))
    require(
        vocab_size == GPT2_VOCABULARY,
        f"{folder} has no {TOKENIZER}, and its {vocab_size} tokens are not GPT-2's {GPT2_VOCABULARY}; put the model's "
        "tokenizer there under that name.",
    )
    return BPETokenizer.gpt2()


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values as JSON, every character as itself."""
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
