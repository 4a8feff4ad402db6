"""`minigpt tokenizer`, and the option that names a tokenizer."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from minigpt.cli.options import CorpusName, TextFile, open_corpus
from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.bpe import BPETokenizer
from minigpt.tokenizer.foreign import read_tokenizer
from minigpt.utils.errors import UserError


class BuiltinTokenizer(StrEnum):
    """The tokenizers that need no file."""

    char = "char"
    gpt2 = "gpt2"


TokenizerName = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        help="char (the text's own characters), gpt2 (GPT-2's), or a file: a tokenizer.json, or nanoGPT's meta.pkl.",
    ),
]


def open_tokenizer(name: str) -> Tokenizer:
    """Return GPT-2's tokenizer, or the one in a file.

    Raises:
        UserError: it is neither, or is not available.
    """
    if name == BuiltinTokenizer.gpt2:
        return BPETokenizer.gpt2()
    if not Path(name).exists():
        raise UserError(
            f"There is no tokenizer {name!r}; name {', '.join(BuiltinTokenizer)}, or a file made by `minigpt "
            "tokenizer train`."
        )
    return read_tokenizer(name)


def train_tokenizer(
    out: Annotated[Path, typer.Option(help="The file to write, such as tokenizer.json; it must not exist.")],
    vocab_size: Annotated[int, typer.Option(help="How many tokens, the 256 bytes included.")] = 4096,
    corpus: CorpusName = None,
    text: TextFile = None,
    fast: Annotated[bool, typer.Option("--fast", help="Use the package tokenizers: the same merges, sooner.")] = False,
) -> None:
    """Learn a vocabulary by byte-pair encoding from a corpus or from your own text.

    Example: minigpt tokenizer train --corpus shakespeare-plays --vocab-size 32000 --out tokenizer.json
    """
    if out.exists():
        raise UserError(f"{out} exists already; choose another name.")
    source = open_corpus(corpus, text)
    typer.echo(str(source))
    tokenizer = BPETokenizer.train(source.text, vocab_size, fast=fast, progress=not fast)
    tokenizer.save(out)
    n_tokens = len(tokenizer.encode(source.text))
    typer.echo(f"{tokenizer}: {len(source.text) / n_tokens:.2f} characters a token on this text. Written to {out}.")


def show_tokenizer(
    tokenizer: Annotated[str, typer.Argument(help="A tokenizer.json, or gpt2.")],
    first: Annotated[int, typer.Option("--start", min=0, help="The id to begin with.")] = 0,
    count: Annotated[int | None, typer.Option("--limit", min=1, help="How many tokens to list; all if unset.")] = None,
) -> None:
    """List a vocabulary: the id of every token, its text, and the two tokens that it was merged from."""
    chosen = open_tokenizer(tokenizer)
    end = chosen.vocab_size if count is None else min(first + count, chosen.vocab_size)
    for line in chosen.describe_tokens(range(first, end)):
        typer.echo(line)


def encode_text(
    tokenizer: Annotated[str, typer.Argument(help="A tokenizer.json, or gpt2.")],
    text: Annotated[str, typer.Argument(help="The text to cut.")],
) -> None:
    """Show how a text is cut into tokens: one line a token, with its id."""
    chosen = open_tokenizer(tokenizer)
    for line in chosen.describe_tokens(chosen.encode(text)):
        typer.echo(line)
