"""Command lines with a mistake in them, made from what the commands themselves say that they take."""

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import typer

from minigpt import GPT, CharTokenizer, GPTConfig, checkpoint
from minigpt.cli import main
from minigpt.cli import typer_app as app

TEXT = "a small model reads a small text\nagain and again, until it can tell what comes next.\n" * 4
NANO = {
    "model": {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8},
    "training": {"max_steps": 1, "batch_size": 2, "eval_every": 1, "save_every": 1, "warmup_steps": 0},
}
# What each command takes so as to do a little; `{new}` does not exist. Those without a line here get mistakes only.
RIGHT = {
    "train": "--preset {preset} --text {text} --out {new}",
    "generate": "--checkpoint {model} --prompt a --max-new-tokens 2",
    "evaluate": "--checkpoint {model} --text {text}",
    "presets": "tiny",
    "params": "--n-layer 1 --n-head 1 --n-embd 8 --block-size 8 --vocab-size 9",
    "plan": "--n-layer 1 --n-head 1 --n-embd 8 --block-size 8 --vocab-size 9",
    "data prepare": "--text {text} --tokenizer char --out {new} --separator . --workers 1",
    "data check": "{model}",
    "tokenizer train": "--text {text} --vocab-size 260 --out {new}",
    "tokenizer show": "{model}/tokenizer.json --limit 2",
    "tokenizer encode": "{model}/tokenizer.json a",
    "export hf": "--checkpoint {model} --out {new}",
    "export web": "{model} --out {new}",
}
HUGE = "9" * 25
VALUES = (
    "",
    "nonsense",
    "-1",
    "0",
    "nan",
    "1e999",
    HUGE,
    "1" * 5000,
    "{missing}",
    "{folder}",
    "{text}",
    "{binary}",
)
VALUES += ("--", "a\nb", "ü ß 日本", "{folder}/NUL", "~nobody/x", "*" * 300)
TAKEN_AS_THEY_ARE = ("--prompt", "--stop", "--separator", "TEXT", "--host")  # any text is right there
ENDLESS = ("--max-new-tokens", "--num-samples", "--max-steps")  # of which any number is right, if one has the patience
LEFT_ALONE = ("--source", "--revision", "--measure", "--interactive")  # which would ask a network, or take long


@dataclass(frozen=True)
class Mistake:
    """A command line, and what is wrong with it."""

    words: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class Told:
    """What a command came to: its exit code, what it printed, and the exception that nobody caught, if any."""

    code: int
    out: str
    err: str
    escaped: BaseException | None = None

    @property
    def held(self) -> bool:
        """Whether it did its work, or refused in one sentence."""
        told = self.err.strip()
        one = self.code != 1 or ("minigpt: " in told and told.endswith((".", ")", "?")))
        return self.escaped is None and self.code in (0, 1, 2) and "Traceback" not in self.err and one


def commands(here: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, list[Any]]]:
    """Yield every command with what it takes."""
    here = here or typer.main.get_command(app)
    if not hasattr(here, "commands"):
        yield " ".join(path), here.params
        return
    for name in list(here.commands):
        yield from commands(here.load(name), (*path, name))


def mistakes(places: dict[str, Path]) -> Iterator[Mistake]:
    """Yield command lines with one mistake each: of every command, every option, and everything an option can be."""
    filled = {name: str(path) for name, path in places.items()}
    for name, takes in commands():
        start = tuple(name.split())
        right = tuple(word.format(**filled) for word in RIGHT.get(name, "").split())
        options = [each for each in takes if each.param_type_name == "option" and each.opts[0] not in LEFT_ALONE]
        yield Mistake((*start, *right, "--nonsense"), "an option that does not exist")
        yield Mistake((*start, *right, "--nonsense=1"), "an option that does not exist")
        yield Mistake((*start, *right, "one", "two", "three"), "words too many")
        if any(each.required for each in takes):
            yield Mistake(start, "nothing that it needs")
        for option in options:
            flag = option.opts[0]
            if option.is_flag:
                yield Mistake((*start, *right, f"{flag}=nonsense"), "a value where none belongs")
                continue
            yield Mistake((*start, *right, flag), "an option without its value")
            if flag in TAKEN_AS_THEY_ARE or name == "app":
                continue
            for value in VALUES:
                if flag in ENDLESS and value == HUGE:
                    continue
                yield Mistake((*start, *right, flag, value.format(**filled)), "a value that does not fit")
    for word in ("nonsense", "Train", "--version=1", "-x", "", "trian", "train train", "\0"):
        yield Mistake((word,), "a command that does not exist")
    for words in ("app --port 0", "app --port 70000", "app --timeout 0", "app --timeout nan", "data show nonsense"):
        yield Mistake(tuple(words.split()), "a value that does not fit")


def make_places(folder: Path) -> dict[str, Path]:
    """Make the files and folders that command lines name."""
    places = {name: folder / name for name in ("missing", "folder", "new", "model")}
    places |= {"text": folder / "my text.txt", "binary": folder / "binary.bin", "preset": folder / "nano.json"}
    places["folder"].mkdir()
    places["text"].write_text(TEXT, encoding="utf-8")
    places["binary"].write_bytes(bytes(range(256)))
    places["preset"].write_text(json.dumps(NANO), encoding="utf-8")
    tokenizer = CharTokenizer.from_text(TEXT)
    torch.manual_seed(0)
    sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}
    checkpoint.save(places["model"], GPT(GPTConfig(**sizes)), tokenizer)
    return places


def run(words: tuple[str, ...]) -> Told:
    """Run the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    code, escaped = 0, None
    with (
        mock.patch.object(sys, "argv", ["minigpt", *words]),
        mock.patch.object(sys, "stdin", io.StringIO()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException as error:
            escaped = error
    return Told(code, out.getvalue(), err.getvalue(), escaped)
