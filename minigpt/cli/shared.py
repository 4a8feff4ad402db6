"""The options and helpers that several commands share."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from minigpt.config import require
from minigpt.corpora.texts import CORPORA, Corpus, load_corpus, read_text
from minigpt.training.ranks import is_first_process

console = Console(highlight=False)

DEFAULT_CORPUS = "tinyshakespeare"
CorpusName = Annotated[
    str | None,
    typer.Option("--corpus", help=f"A corpus by name: {', '.join(CORPORA)}.", show_default=DEFAULT_CORPUS),
]
TextFile = Annotated[Path | None, typer.Option("--text", help="Your own UTF-8 text file, instead of a corpus.")]
ShardsFolder = Annotated[
    Path | None, typer.Option("--data", help="A folder of `minigpt data prepare`, instead of a corpus.")
]
CheckpointFolder = Annotated[Path, typer.Option("--checkpoint", help="A checkpoint, or the folder of a training run.")]


def open_corpus(name: str | None, text: Path | None) -> Corpus:
    """Return the user's own text if there is one, otherwise the corpus of that name, or the usual one.

    Raises:
        UserError: both are named, or the text is not to be had.
    """
    require_one_source(name, text)
    return load_corpus(name or DEFAULT_CORPUS) if text is None else Corpus(text.name, read_text(text))


def require_one_source(corpus: str | None, text: Path | None, shards: Path | None = None) -> None:
    """Raise `UserError` if more than one option names a text."""
    options = {"--corpus": corpus, "--text": text, "--data": shards}
    named = [option for option, value in options.items() if value is not None]
    require(len(named) < 2, f"{' and '.join(named)} both name a text; keep one of them.")


def say(sentence: str) -> None:
    """Print a sentence once, however many processes train."""
    if is_first_process():
        typer.echo(sentence)
