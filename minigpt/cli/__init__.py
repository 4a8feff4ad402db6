"""The command `minigpt`, whose commands are imported when they are called: `minigpt --help` needs no PyTorch."""

import os
import re
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from minigpt.utils.errors import UserError
from minigpt.utils.signals import is_main_process

# By group, the name of each command: its function, as `module:function`, and the first paragraph of its help.
COMMANDS = {
    "train": (
        "train:train",
        "Train a model on a corpus, on your own text, or on shards that were prepared before.",
    ),
    "generate": ("generate:generate", "Let a model continue a prompt, as a stream."),
    "evaluate": (
        "evaluate:evaluate",
        "Measure how well a model predicts a text: loss, perplexity, bits per character and per byte.",
    ),
    "presets": ("plan:presets", "List the named architectures with their sizes, or show one in full."),
    "params": ("plan:params", "Count the parameters of a model, part by part."),
    "plan": ("plan:plan", "Say what a training run takes: memory, operations, time; and whether it fits a device."),
    "selftest": (
        "selftest:selftest",
        "Say in a few seconds whether the installation works, and what to do where it does not.",
    ),
    "app": (
        "generate:open_app",
        "Open a page on which your models and the shipped ones write, as the Space on the hub does.",
    ),
}
DATA = {
    "list": (
        "data:list_corpora",
        "Say of each corpus whether it can be had here, and of each larger data set where it is and how to prepare it.",
    ),
    "show": ("data:show_corpus", "Print a corpus's size, its vocabulary and its beginning."),
    "save": ("data:save_corpus", "Write a corpus to a text file."),
    "prepare": (
        "data:prepare_command",
        "Encode a text of any size into token shards for `minigpt train --shards`.",
    ),
    "check": ("data:check_folder", "Compare all shards of a folder with their checksums."),
}
TOKENIZER = {
    "train": (
        "tokenizer:train_tokenizer",
        "Learn a vocabulary by byte-pair encoding from a corpus or from your own text.",
    ),
    "show": (
        "tokenizer:show_tokenizer",
        "List a vocabulary: the id of every token, its text, and the two tokens that it was merged from.",
    ),
    "encode": (
        "tokenizer:encode_text",
        "Show how a text is cut into tokens: one line a token, with its id.",
    ),
}
EXPORT = {
    "hf": (
        "export:export_hf",
        "Write a model as a GPT-2 in Hugging Face's layout: config.json and model.safetensors.",
    ),
    "web": (
        "export:export_page",
        "Write a model for a web page: weights.bin, manifest.json that says what stands where in it, and the page.",
    ),
}
IMPORT = {
    "hf": (
        "export:import_hf",
        "Make a checkpoint of a GPT-2 in Hugging Face's layout, so that it can write, be measured and be trained "
        "further.",
    ),
}


def _lazy_group(commands: dict[str, tuple[str, str]]) -> type[TyperGroup]:
    """Return the class of a group with these commands, for `typer.Typer(cls=…)`."""

    class LazyGroup(TyperGroup):
        """A group in which a name and a line of help stand in for each command until it is called."""

        commands: dict[str, Any]

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            stand_ins = {name: TyperCommand(name, help=line) for name, (_, line) in commands.items()}
            self.commands = {**stand_ins, **self.commands}

        def resolve_command(self, context: Any, arguments: list[str]) -> tuple[Any, Any, list[str]]:
            name, _, rest = super().resolve_command(context, arguments)
            return name, self.load(name), rest

        def load(self, name: str) -> Any:
            """Return the command itself, and let it take the place of what stood in for it."""
            if name in commands:
                module, function = commands[name][0].split(":")
                alone = typer.Typer(add_completion=False)
                alone.command(name)(getattr(import_module(f"minigpt.cli.{module}"), function))
                self.commands[name] = typer.main.get_command(alone)
            return self.commands[name]

    return LazyGroup


_TOO_LARGE = re.compile("allocate|out of memory|not enough memory|size calculation overflowed")  # in PyTorch's words

typer_app = typer.Typer(
    cls=_lazy_group(COMMANDS),
    help="Train small GPTs, let them write, and measure them.",
    epilog="`minigpt COMMAND --help` explains each command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, commands, purpose in (
    ("data", DATA, "Look at the book's corpora, and make token shards of a text of any size."),
    ("tokenizer", TOKENIZER, "Learn a vocabulary, look at it, and cut texts with it."),
    ("export", EXPORT, "Write a trained model in a form that other programs read, or a web page."),
    ("import", IMPORT, "Make a checkpoint of a model from another program."),
):
    typer_app.add_typer(typer.Typer(cls=_lazy_group(commands), help=purpose, no_args_is_help=True), name=name)


def main() -> None:
    """Run the command line; a mistake of the user's gives one sentence and exit code 1, a misused option 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # where it cannot write a character, it writes that character's number
            stream.reconfigure(errors="backslashreplace")
    try:
        typer_app(prog_name="minigpt")
    except UserError as error:
        print(f"{_error_prefix()}: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        place = error.filename or "a file"
        print(f"{_error_prefix()}: {place}: {error.strerror}; check the path and the disk.", file=sys.stderr)
        sys.exit(1)
    except (RuntimeError, MemoryError, OverflowError) as error:
        if not isinstance(error, (MemoryError, OverflowError)) and not _TOO_LARGE.search(str(error)):
            raise
        print(
            f"{_error_prefix()}: This takes more memory than there is; choose a smaller model or batch "
            "(`minigpt plan` says what fits).",
            file=sys.stderr,
        )
        sys.exit(1)


def _error_prefix() -> str:
    """Return who reports a mistake: the command, or one of several processes of it."""
    return "minigpt" if is_main_process() else f"minigpt (process {os.environ['RANK']})"
