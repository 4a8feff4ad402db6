"""`minigpt export` and `minigpt import`: a model for a web page, and GPT-2 in Hugging Face's layout."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from minigpt import checkpoint
from minigpt.checkpoint.gpt2 import CONFIG, WEIGHTS, export_hf_gpt2, load_hf_gpt2
from minigpt.checkpoint.hub import resolve_model
from minigpt.checkpoint.web import WEB_WEIGHTS, check_exportable, export_web, quantization_loss
from minigpt.cli.options import CheckpointFolder, TextFile, open_training_data
from minigpt.model.gpt import count_parameters
from minigpt.model.quantization import QUANTIZERS
from minigpt.tokenizer.base import Tokenizer, load_tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT, BPETokenizer
from minigpt.tokenizer.hf import from_hf_tokenizer, hf_tokenizer_config, to_hf_tokenizer
from minigpt.utils.errors import UserError, error_prefix
from minigpt.utils.files import read_json

Precision = StrEnum("Precision", {name: name for name in QUANTIZERS})  # type: ignore[misc]


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
    check_exportable(model, tokenizer)
    measured = None
    if corpus is not None or text is not None:
        material = open_training_data(corpus, text, tokenizer)
        measured = quantization_loss(model, precision, material.data.validation, material.name, max_windows)
    manifest = export_web(model, tokenizer, out, precision, measured)
    typer.echo(f"{manifest['weights']['bytes']:,} bytes of weights in {precision} are in {out / WEB_WEIGHTS}.")
    if measured:
        typer.echo(
            f"Loss on {measured['tokens']:,} tokens of {measured['text']}: {measured['loss']:.4f} nats per token with "
            f"the weights as they are, {measured['rounded_loss']:.4f} as they are stored."
        )
    else:
        typer.echo("The loss was not measured; name a text with --corpus or --text.")


TOKENIZER_FILE = "minigpt-tokenizer.json"


HF_TOKENIZER_FILE = "tokenizer.json"


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
    export_hf_gpt2(model, out, end_of_text=getattr(tokenizer, "special_tokens", {}).get(END_OF_TEXT))
    tokenizer.save(out / TOKENIZER_FILE)
    typer.echo(f"{count_parameters(model):,} parameters are written to {out}. To read them back:")
    typer.echo(f"  minigpt.checkpoint.gpt2.load_hf_gpt2({str(out)!r})")
    try:
        write_json(out / HF_TOKENIZER_FILE, to_hf_tokenizer(tokenizer))
    except UserError as error:
        typer.echo(f"  transformers.GPT2LMHeadModel.from_pretrained({str(out)!r})")
        typer.echo(f"transformers gets no tokenizer: {error}")
    else:
        write_json(out / "tokenizer_config.json", hf_tokenizer_config(tokenizer, model.config.block_size))
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
    folder = resolve_model(source, (CONFIG, WEIGHTS, TOKENIZER_FILE, HF_TOKENIZER_FILE), revision)
    model = load_hf_gpt2(folder)
    checkpoint.save(out, model, find_tokenizer(folder, model.config.vocab_size))
    typer.echo(f"{count_parameters(model):,} parameters are in {out}.")


def find_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """Return the tokenizer that belongs to a folder.

    Raises:
        UserError: there is none that minigpt can read, and the vocabulary is not of GPT-2's size.
    """
    if (folder / TOKENIZER_FILE).exists():
        return load_tokenizer(folder / TOKENIZER_FILE)
    if (folder / HF_TOKENIZER_FILE).exists():
        with error_prefix(folder / HF_TOKENIZER_FILE):
            return from_hf_tokenizer(read_json(folder / HF_TOKENIZER_FILE))
    if vocab_size != GPT2_VOCABULARY:
        raise UserError(
            f"{folder} has no {TOKENIZER_FILE}, and its {vocab_size} tokens are not GPT-2's "
            f"{GPT2_VOCABULARY}; put the model's "
            "tokenizer there under that name."
        )
    return BPETokenizer.gpt2()


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values as JSON, every character as itself."""
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
