"""The options and helpers that several commands share."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from minigpt.corpora.texts import CORPORA, Corpus, load_corpus, read_text
from minigpt.training.parallel import is_first_process

console = Console(highlight=False)

CorpusName = Annotated[str, typer.Option("--corpus", help=f"A corpus by name: {', '.join(CORPORA)}.")]
TextFile = Annotated[Path | None, typer.Option("--text", help="Your own UTF-8 text file, instead of a corpus.")]
ShardsFolder = Annotated[
    Path | None, typer.Option("--data", help="A folder of `minigpt data prepare`, instead of a corpus.")
]
CheckpointFolder = Annotated[Path, typer.Option("--checkpoint", help="A checkpoint, or the folder of a training run.")]


def open_corpus(name: str, text: Path | None) -> Corpus:
    """Return the user's own text if there is one, otherwise the corpus of that name."""
    return load_corpus(name) if text is None else Corpus(text.name, read_text(text))


def say(sentence: str) -> None:
    """Print a sentence once, however many processes train."""
    if is_first_process():
        typer.echo(sentence)
