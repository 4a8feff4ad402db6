"""`minigpt data`."""

import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from minigpt.cli.options import unescape
from minigpt.cli.tokenizer import BuiltinTokenizer, open_tokenizer
from minigpt.data.corpora import CORPORA, load_corpus
from minigpt.data.documents import TextSource, check_separator, split_documents
from minigpt.data.download import Dataset, datasets, find_dataset
from minigpt.data.nanogpt import BIN_ENDING, prepare_bins
from minigpt.data.prepare import SHARD_TOKENS, collect_characters, prepare_shards
from minigpt.data.shards import ShardedDataset, check_shards
from minigpt.data.text_files import STDIN, list_texts, read_stdin
from minigpt.tokenizer.char import CharTokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.signals import graceful_shutdown


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
    if file.exists():
        raise UserError(f"{file} exists already; choose another name.")
    corpus = load_corpus(name)
    file.write_bytes(corpus.text.encode("utf-8"))
    typer.echo(f"{corpus}\nWritten to {file}.")


HELD_OUT = 0.05


SMALL = 32_000_000  # bytes below which the start of more processes takes longer than it saves


def prepare_command(
    out: Annotated[Path, typer.Option(help="The folder of shards to write, or to go on with.")],
    tokenizer: Annotated[
        str,
        typer.Option(
            help="char (the texts' own characters), gpt2 (GPT-2's), or a file: a tokenizer.json, or nanoGPT's meta.pkl."
        ),
    ],
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="A UTF-8 text, packed with gzip or not, a .jsonl or .parquet file, a folder of these, - for standard "
            "input, or a train.bin of nanoGPT's; may be given several times."
        ),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="A corpus by name, instead (`minigpt data list`).")] = None,
    source: Annotated[str | None, typer.Option(help="A data set to download: tinystories or fineweb-edu.")] = None,
    files: Annotated[
        int, typer.Option("--num-files", min=1, help="How many of a data set's files to take, from the first.")
    ] = 1,
    separator: Annotated[
        str | None,
        typer.Option(help=r"What stands between two documents; \n for a line end, also \r, \t. Unset: nothing does."),
    ] = None,
    field: Annotated[str, typer.Option(help="The field or column of the text in .jsonl and .parquet files.")] = "text",
    validation: Annotated[
        list[Path] | None, typer.Option(help="A file to hold out; may be given several times.")
    ] = None,
    val_fraction: Annotated[
        float | None, typer.Option(help=f"The share of the documents to hold out, otherwise; {HELD_OUT} if unset.")
    ] = None,
    shard_tokens: Annotated[int, typer.Option(min=1, help="How many tokens a shard has.")] = SHARD_TOKENS,
    workers: Annotated[int | None, typer.Option(min=1, help="How many processes encode; if unset, one a core.")] = None,
) -> None:
    r"""Encode a text of any size into token shards for `minigpt train --shards`.

    A document is a file or, with --separator, what stands between two of those; rows of .jsonl and .parquet files are
    documents.
    A run that was killed goes on where it stopped when the same command is given again.

    Examples: minigpt data prepare --source tinystories --tokenizer gpt2 --out shards/stories
    minigpt data prepare --text plays.txt --separator '\n\n' --tokenizer tokenizer.json --out shards/plays
    """
    ways = {"--text": text, "--corpus": corpus, "--source": source}
    given = [name for name, value in ways.items() if value]
    if len(given) != 1:
        raise UserError(f"Name what to prepare with one of {', '.join(ways)}; given: {' and '.join(given) or 'none'}.")
    share_given = val_fraction is not None
    if validation and share_given:
        raise UserError("--validation and --val-fraction are two ways to hold out; keep one.")
    mark = unescape(separator) if separator else separator
    training: list[Any] = [
        TextSource("standard input", read_stdin()) if path == STDIN else path for path in list_texts(text or [])
    ]
    held_out = list_texts(validation or [])
    if corpus:
        loaded = load_corpus(corpus)
        typer.echo(str(loaded))
        training = [TextSource(corpus, loaded.text)]
    if source:
        dataset = find_dataset(source)
        training, published = download(dataset, files, with_validation=not (validation or share_given))
        held_out, mark = held_out or published, mark or dataset.separator
    share = HELD_OUT if val_fraction is None else val_fraction
    if any(isinstance(path, Path) and path.suffix == BIN_ENDING for path in [*training, *held_out]):
        _echo_prepared(_prepare_bins(training, held_out, tokenizer, out, share, shard_tokens), out)
        return
    documents = split_documents(training, held_out, separator=mark, val_fraction=share, field=field)
    check_separator(documents)
    chosen = (
        CharTokenizer(collect_characters(documents))
        if tokenizer == BuiltinTokenizer.char
        else open_tokenizer(tokenizer)
    )
    few = workers or (1 if (documents.n_bytes or SMALL) < SMALL else _n_cores())
    with graceful_shutdown() as received:
        options: dict[str, Any] = {"shard_tokens": shard_tokens, "workers": few, "progress": True}
        prepared = prepare_shards(documents, chosen, out, **options, stopped=received)
    if prepared is None:
        typer.echo("Stopped, and noted how far it came; the same command goes on from there.")
        raise typer.Exit(128 + (received() or signal.SIGTERM))
    _echo_prepared(prepared, out)


def _prepare_bins(
    training: list[Any], held_out: list[Path], tokenizer: str, out: Path, share: float, shard_tokens: int
) -> ShardedDataset:
    """Make shards of files of ids, which need the tokenizer that they were made with."""
    others = [path for path in [*training, *held_out] if getattr(path, "suffix", None) != BIN_ENDING]
    if others:
        raise UserError(f"{others[0]} is text, and others hold ids ({BIN_ENDING}); prepare each kind by itself.")
    if tokenizer == BuiltinTokenizer.char:
        raise UserError(
            f"{training[0]} holds ids, not characters; name the tokenizer that it was made with, such as gpt2 or the "
            "meta.pkl beside it."
        )
    chosen = open_tokenizer(tokenizer)
    return prepare_bins(training, held_out, chosen, out, val_fraction=share, shard_tokens=shard_tokens)


def _echo_prepared(prepared: ShardedDataset, out: Path) -> None:
    """Say what was prepared, and how to go on."""
    typer.echo(str(prepared))
    typer.echo(f"Train on it: minigpt train --shards {out} --preset … --out …")


def download(dataset: Dataset, n_files: int, with_validation: bool) -> tuple[list[Path], list[Path]]:
    """Fetch files of a data set, after showing what it is; return those to train on and those that are held out."""
    if n_files > len(dataset.train):
        raise UserError(
            f"--num-files {n_files} is more than the {len(dataset.train)} that {dataset.name} has; ask for fewer."
        )
    training, held_out = dataset.train[:n_files], dataset.validation if with_validation else ()
    typer.echo(dataset.describe(training + held_out))
    return [dataset.fetch(file) for file in training], [dataset.fetch(file) for file in held_out]


def _n_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_folder(folder: Annotated[Path, typer.Argument(help="A folder of shards.")]) -> None:
    """Compare all shards of a folder with their checksums."""
    typer.echo(f"{check_shards(folder)} All checksums are right.")
