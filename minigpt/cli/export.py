"""`minigpt export` and `minigpt import`: a model for a web page, and GPT-2 in Hugging Face's layout."""

import json
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from minigpt import checkpoint
from minigpt.checkpoint.gpt2 import CONFIG, PYTORCH_FILES, SAFETENSORS_FILES, export_hf_gpt2, load_hf_gpt2
from minigpt.checkpoint.hub import resolve_model
from minigpt.checkpoint.nanogpt import NANOGPT_CHECKPOINT, load_nanogpt
from minigpt.checkpoint.web import WEB_WEIGHTS, check_exportable, export_web, quantization_loss
from minigpt.cli.options import CHECKPOINT_HELP, CheckpointFolder, TextFile, open_training_data
from minigpt.cli.tokenizer import open_tokenizer
from minigpt.model.gpt import count_parameters
from minigpt.model.quantization import QUANTIZERS
from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT, BPETokenizer
from minigpt.tokenizer.foreign import (
    HF_TOKENIZER_FILE,
    OWN_TOKENIZER_FILE,
    TOKENIZER_FILES,
    find_tokenizer,
    is_gpt2_size,
)
from minigpt.tokenizer.hf import hf_tokenizer_config, to_hf_tokenizer
from minigpt.utils.errors import UserError

Precision = StrEnum("Precision", {name: name for name in QUANTIZERS})  # type: ignore[misc]


def export_page(
    checkpoint_folder: Annotated[Path, typer.Argument(help=CHECKPOINT_HELP)],
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
    """Write a model for a web page: weights.bin, manifest.json that says what stands where in it, and the page.

    The page is the book's playground with your model, and needs no network; the command that serves it is printed.
    Without a corpus or a text of your own, the loss is not measured.

    Example: minigpt export web tiny --out tiny-web --corpus tinyshakespeare
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    check_exportable(model, tokenizer)
    measured = None
    if corpus is not None or text is not None:
        material = open_training_data(corpus, text, tokenizer)
        measured = quantization_loss(model, precision, material.data.validation, material.name, max_windows)
    manifest = export_web(model, tokenizer, out, precision, measured, page=True)
    typer.echo(f"{manifest['weights']['bytes']:,} bytes of weights in {precision} are in {out / WEB_WEIGHTS}.")
    if measured:
        typer.echo(
            f"Loss on {measured['tokens']:,} tokens of {measured['text']}: {measured['loss']:.4f} nats per token with "
            f"the weights as they are, {measured['rounded_loss']:.4f} as they are stored."
        )
    else:
        typer.echo("The loss was not measured; name a text with --corpus or --text.")
    typer.echo("To let it write in a browser, run this, and open http://127.0.0.1:8000/:")
    typer.echo(f"  {shlex.join(['python', '-m', 'http.server', '--bind', '127.0.0.1', '--directory', str(out)])}")


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
    tokenizer.save(out / OWN_TOKENIZER_FILE)
    typer.echo(f"{count_parameters(model):,} parameters are written to {out}. To read them back:")
    typer.echo(f"  minigpt.checkpoint.gpt2.load_hf_gpt2({str(out)!r})")
    try:
        _write_json(out / HF_TOKENIZER_FILE, to_hf_tokenizer(tokenizer))
    except UserError as error:
        typer.echo(f"  transformers.GPT2LMHeadModel.from_pretrained({str(out)!r})")
        typer.echo(f"transformers gets no tokenizer: {error}")
    else:
        _write_json(out / "tokenizer_config.json", hf_tokenizer_config(tokenizer, model.config.block_size))
        typer.echo(f"  transformers.pipeline('text-generation', {str(out)!r})")


def import_hf(
    source: Annotated[
        str, typer.Argument(help="A GPT-2 in Hugging Face's layout, a folder or owner/model; or nanoGPT's ckpt.pt.")
    ],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit of the hub's.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="gpt2, a tokenizer.json, or nanoGPT's meta.pkl; if unset, the folder's own.")
    ] = None,
) -> None:
    """Make a checkpoint of a GPT-2 in Hugging Face's layout, so that it can write, be measured and be trained further.

    Its weights are model.safetensors or pytorch_model.bin, whole or in parts. Its tokenizer is the folder's
    minigpt-tokenizer.json, its tokenizer.json, or its vocab.json and merges.txt; where there is none of these, GPT-2's
    own vocabulary is taken if the sizes agree, and the command says so.

    Examples: minigpt import hf openai-community/gpt2 --out checkpoints/gpt2

    minigpt import hf mine-hf --out checkpoints/mine

    minigpt import hf out-shakespeare-char/ckpt.pt --tokenizer data/shakespeare_char/meta.pkl --out checkpoints/nano
    """
    chosen = None if tokenizer is None else open_tokenizer(tokenizer)
    nanogpt = _nanogpt_file(Path(source))
    if nanogpt is not None:
        folder, model = nanogpt.parent, load_nanogpt(nanogpt)
        typer.echo("nanoGPT's GELU is exact, and here it is GPT-2's approximation by tanh: logits differ by a little.")
    else:
        folder = _fetched(source, revision)
        model = load_hf_gpt2(folder)
    chosen = chosen or _tokenizer_of(folder, model.config.vocab_size)
    if chosen.vocab_size > model.config.vocab_size:
        raise UserError(
            f"{source} has {model.config.vocab_size:,} ids, and its tokenizer {chosen.vocab_size:,} tokens; name the "
            "tokenizer that the model was trained with in --tokenizer."
        )
    if chosen.vocab_size < model.config.vocab_size:
        spare = model.config.vocab_size - chosen.vocab_size
        typer.echo(
            f"{spare:,} of the model's {model.config.vocab_size:,} ids stand for no token; they are never drawn."
        )
    checkpoint.save(out, model, chosen)
    typer.echo(f"{count_parameters(model):,} parameters are in {out}.")


def _nanogpt_file(source: Path) -> Path | None:
    """Return nanoGPT's checkpoint if a path names one, or the folder of one."""
    if source.is_dir() and not (source / CONFIG).exists() and (source / NANOGPT_CHECKPOINT).exists():
        return source / NANOGPT_CHECKPOINT
    return source if source.suffix in (".pt", ".pth") else None


def _fetched(source: str, revision: str | None) -> Path:
    """Return the folder of a model; from the hub come safetensors or, where it has none, PyTorch's files."""
    files = (CONFIG, *TOKENIZER_FILES)
    folder = resolve_model(source, (*files, *SAFETENSORS_FILES), revision, required=(CONFIG,))
    if not any(folder.glob("*.safetensors")):
        folder = resolve_model(source, (*files, *PYTORCH_FILES), revision, required=(CONFIG,))
    return folder


def _tokenizer_of(folder: Path, vocab_size: int) -> Tokenizer:
    """Return the tokenizer that belongs to a folder, or GPT-2's own, and say so, where there is none and sizes agree.

    Raises:
        UserError: there is none that minigpt can read, and the vocabulary is not of GPT-2's size.
    """
    found = find_tokenizer(folder)
    if found is not None:
        return found
    if not is_gpt2_size(vocab_size):
        raise UserError(
            f"{folder} has no {OWN_TOKENIZER_FILE}, and its {vocab_size} tokens are not GPT-2's 50257; put the model's "
            "tokenizer there under that name, or name it with --tokenizer."
        )
    typer.echo(f"{folder} has no tokenizer, so GPT-2's own vocabulary is taken; name another with --tokenizer.")
    return BPETokenizer.gpt2()


def _write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values as JSON, every character as itself."""
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
