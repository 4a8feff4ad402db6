"""The options that several commands share: which model is meant, how it is trained, and on which text."""

import re
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from minigpt.checkpoint.shipped import SHIPPED_MODELS
from minigpt.config import BaseConfig, GPTConfig, is_preset_file, model_preset, validate_components
from minigpt.data.batches import Split, split_text
from minigpt.data.corpora import CORPORA, Corpus, load_corpus
from minigpt.data.foundation import load_foundation
from minigpt.data.shards import check_shards, open_shards
from minigpt.data.text_files import STDIN, read_texts
from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.char import CharTokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.signals import is_main_process

Command = Callable[..., None]
Given = dict[str, Any]  # the fields of a configuration that the user gave, by name


def add_options(
    parameter: str, config: type[BaseConfig], *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Give a command an option for each field of a configuration, with the help that stands beside the field.

    The command gets those that were given as a dictionary, by the name `parameter`. `only` and `without` name the
    fields that have an option here, and those that have none.
    """
    chosen = [each for each in fields(config) if each.name not in without and (only is None or each.name in only)]

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_given(**values: Any) -> None:
            options = {each.name: values.pop(each.name) for each in chosen}
            given = {name: value for name, value in options.items() if value is not None}
            command(**values, **{parameter: given})

        shown: list[Parameter] = []
        for each in signature(command).parameters.values():
            shown += map(_option, chosen) if each.name == parameter else [each]
        with_given.__signature__ = Signature(shown)  # type: ignore[attr-defined]
        return with_given

    return decorate


def _option(field: Field[Any]) -> Parameter:
    """Return a field as an option of a command, which is None where it is not given."""
    name = flag(field.name)
    flags = f"{name}/--no-{name[2:]}" if field.type is bool else name
    option = typer.Option(None, flags, help=field.metadata["help"], rich_help_panel=field.metadata["panel"])
    kind: Any = field.type
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)


def flag(field: str) -> str:
    """Return a field as it is written on the command line."""
    return f"--{field.replace('_', '-')}"


PresetName = Annotated[
    str | None, typer.Option("--preset", help="A preset by name (`minigpt presets` lists them), or a .json file.")
]


def chosen_architecture(preset_name: str | None, sizes: Given) -> GPTConfig:
    """Return the model that the options describe.

    The vocabulary belongs to the text and its tokenizer, so `vocab_size` may stand beside a preset.

    Raises:
        UserError: another field stands beside a preset, there is no preset and a size is missing, or a component does
            not exist.
    """
    if preset_name is not None:
        forbid_beside_preset(preset_name, sizes)
        return model_preset(preset_name, **sizes)
    missing = [flag(each.name) for each in fields(GPTConfig) if each.default is MISSING and each.name not in sizes]
    if missing:
        raise UserError(f"Name a model with --preset, or give all of its sizes; {', '.join(missing)} is missing.")
    config = GPTConfig(**sizes)
    validate_components(config)
    return config


def forbid_beside_preset(preset_name: str, sizes: Given) -> None:
    """Raise `UserError` if a field of the architecture was given beside a preset: it must not be silently ignored."""
    given = [name for name in sizes if name != "vocab_size"]
    if not given:
        return
    own = f"write `minigpt presets {preset_name} --json > my.json`, edit {', '.join(given)} there, and use my.json"
    remedy = f"edit {', '.join(given)} in that file" if is_preset_file(preset_name) else own
    raise UserError(
        f"A preset fixes the architecture, so {', '.join(map(flag, given))} cannot stand beside --preset "
        f"{preset_name}; to change it on purpose, {remedy}."
    )


console = Console(highlight=False)
DEFAULT_CORPUS = "tinyshakespeare"
CorpusName = Annotated[
    str | None,
    typer.Option("--corpus", help=f"A corpus by name: {', '.join(CORPORA)}.", show_default=DEFAULT_CORPUS),
]
TextFile = Annotated[
    Path | None,
    typer.Option(
        "--text", help="Your own UTF-8 text, instead of a corpus: a file, also .gz or .jsonl, a folder, or -."
    ),
]
ShardsFolder = Annotated[
    Path | None, typer.Option("--shards", help="A folder of `minigpt data prepare`, instead of a corpus.")
]
CHECKPOINT_HELP = f"A checkpoint, the folder of a training run, or a shipped model: {', '.join(SHIPPED_MODELS)}."
CheckpointFolder = Annotated[Path, typer.Option("--checkpoint", help=CHECKPOINT_HELP)]


def open_corpus(name: str | None, text: Path | None) -> Corpus:
    """Return the user's own text if there is one, otherwise the corpus of that name, or the usual one.

    Raises:
        UserError: both are named, or the text is not to be had.
    """
    require_one_source(name, text)
    if text is None:
        return load_corpus(name or DEFAULT_CORPUS)
    return Corpus("standard input" if text == STDIN else text.resolve().name, read_texts(text))


_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\"}


def unescape(text: str) -> str:
    r"""Return a text of the command line with \n, \t, \r and \\ as what they stand for, and all else as it is."""
    return re.sub(r"\\[ntr\\]", lambda found: _ESCAPES[found.group()], text)


def require_one_source(corpus: str | None, text: Path | None, shards: Path | None = None) -> None:
    """Raise `UserError` if more than one option names a text."""
    options = {"--corpus": corpus, "--text": text, "--shards": shards}
    named = [option for option, value in options.items() if value is not None]
    if len(named) >= 2:
        raise UserError(f"{' and '.join(named)} both name a text; keep one of them.")


def echo_once(sentence: str) -> None:
    """Print a sentence once, however many processes train."""
    if is_main_process():
        typer.echo(sentence)


_LONGEST_PROMPT = 40


_ENOUGH_FOR_A_LINE = 10_000
_CHECKED = 2_000_000_000  # bytes of shards up to which all are compared with their checksums, which takes seconds


@dataclass(frozen=True)
class TrainingData:
    """A text ready for training; `beginning` is enough of it to find a first line in."""

    name: str
    sha256: str
    description: str
    beginning: str
    tokenizer: Tokenizer
    data: Split

    def prompt(self, wanted: str) -> str:
        """Return the wanted prompt if the tokenizer can encode it, otherwise the text's own first line."""
        try:
            self.tokenizer.encode(wanted)
        except UserError:
            lines = (line.strip() for line in self.beginning.splitlines())
            return next(filter(None, lines), self.beginning)[:_LONGEST_PROMPT]
        return wanted


def open_training_data(
    corpus: str | None,
    text: Path | None,
    tokenizer: Tokenizer | None = None,
    expected: dict[str, str] | None = None,
    shards: Path | None = None,
) -> TrainingData:
    """Return a folder of shards, the user's own text, or the corpus of that name; the usual corpus if none is named.

    Without a tokenizer, the text's own characters are its tokens; shards have their own.

    Raises:
        UserError: more than one text is named, the text is not to be had, or it is another one than `expected`, which
            a record names.
    """
    require_one_source(corpus, text, shards)
    if shards is not None:
        return _open_prepared(shards, tokenizer, expected)
    if corpus == "foundation":
        foundation = load_foundation(tokenizer=tokenizer)
        _check_expected(corpus, foundation.sha256, expected)
        beginning = foundation.tokenizer.decode(foundation.ids[:_ENOUGH_FOR_A_LINE].tolist())
        tokenizer, data = foundation.tokenizer, foundation.split
        return TrainingData(corpus, foundation.sha256, str(foundation), beginning, tokenizer, data)
    source = open_corpus(corpus, text)
    _check_expected(source.name, source.sha256, expected)
    tokenizer = tokenizer or CharTokenizer.from_text(source.text)
    data = split_text(source.text, tokenizer)
    return TrainingData(source.name, source.sha256, str(source), source.text[:_ENOUGH_FOR_A_LINE], tokenizer, data)


def _open_prepared(folder: Path, tokenizer: Tokenizer | None, expected: dict[str, str] | None) -> TrainingData:
    """Return a folder of shards; a run that goes on has to have the tokenizer that they were made with."""
    prepared = open_shards(folder)
    if prepared.n_bytes <= _CHECKED:
        check_shards(folder)
    _check_expected(folder.name, prepared.sha256, expected)
    same = tokenizer is None or tokenizer.to_dict() == prepared.tokenizer.to_dict()
    if not same:
        raise UserError(f"The shards in {folder} bring their own tokenizer; leave out --tokenizer.")
    beginning = prepared.tokenizer.decode(prepared.split.train[:_ENOUGH_FOR_A_LINE].tolist())
    sha256, described = prepared.sha256, str(prepared)
    return TrainingData(folder.name, sha256, described, beginning, prepared.tokenizer, prepared.split)


def _check_expected(name: str, sha256: str, expected: dict[str, str] | None) -> None:
    """Raise `UserError` if the text is another one than a run was trained on, as far as its record tells."""
    same = not expected or expected.get("sha256") in (None, sha256)
    if not same:
        raise UserError(
            f"The run was trained on another text ({(expected or {}).get('name')}) than {name}; "
            "name the same one with --corpus, --text or --shards."
        )
