"""`minigpt data`."""

from pathlib import Path
from typing import Annotated

import typer

from minigpt.config import require
from minigpt.corpora.texts import CORPORA, load_corpus
from minigpt.errors import UserError
from minigpt.shards.datasets import datasets


def list_corpora() -> None:
    """Say of each corpus whether it can be had here, and of each larger data set where it is and how to prepare it."""
    for name in CORPORA:
        try:
            typer.echo(str(load_corpus(name)))
        except UserError as error:
            typer.echo(f"{name}: not at hand. {error}")
    for name, dataset in datasets().items():
        typer.echo(f"\n{dataset.describe(dataset.train + dataset.validation)}")
        typer.echo(f"Prepare it: minigpt data prepare --source {name} --tokenizer gpt2 --out shards/{name}")


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
