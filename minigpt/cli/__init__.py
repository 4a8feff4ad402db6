"""The command `minigpt`."""

import os
import sys

import typer

from minigpt.cli.evaluating import evaluate
from minigpt.cli.exporting import export_page
from minigpt.cli.hugging_face import export_hf, import_hf
from minigpt.cli.inspecting import list_corpora, save_corpus, show_corpus
from minigpt.cli.parameters import params
from minigpt.cli.planning import plan
from minigpt.cli.preparing import check_folder, prepare_shards
from minigpt.cli.presets import presets
from minigpt.cli.selftesting import selftest
from minigpt.cli.serving import open_app
from minigpt.cli.tokenizing import show_tokenizer, split_into_tokens, train_tokenizer
from minigpt.cli.training import train
from minigpt.cli.writing import generate
from minigpt.errors import UserError
from minigpt.training.parallel import is_first_process

app = typer.Typer(
    help="Train small GPTs, let them write, and measure them.",
    epilog="`minigpt COMMAND --help` explains each command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, generate, evaluate, presets, params, plan, selftest):
    app.command()(command)
app.command("app")(open_app)

data = typer.Typer(
    help="Look at the book's corpora, and make token shards of a text of any size.", no_args_is_help=True
)
data.command("list")(list_corpora)
data.command("show")(show_corpus)
data.command("save")(save_corpus)
data.command("prepare")(prepare_shards)
data.command("check")(check_folder)
app.add_typer(data, name="data")

tokenizer = typer.Typer(help="Learn a vocabulary, look at it, and cut texts with it.", no_args_is_help=True)
tokenizer.command("train")(train_tokenizer)
tokenizer.command("show")(show_tokenizer)
tokenizer.command("split")(split_into_tokens)
app.add_typer(tokenizer, name="tokenizer")

exports = typer.Typer(
    help="Write a trained model in a form that other programs read, or a web page.", no_args_is_help=True
)
exports.command("hf")(export_hf)
exports.command("web")(export_page)
app.add_typer(exports, name="export")

imports = typer.Typer(help="Make a checkpoint of a model from another program.", no_args_is_help=True)
imports.command("hf")(import_hf)
app.add_typer(imports, name="import")


def main() -> None:
    """Run the command line; a mistake of the user's gives one sentence and exit code 1, a misused option 2."""
    try:
        app(prog_name="minigpt")
    except UserError as error:
        print(f"{speaker()}: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        place = error.filename or "a file"
        print(f"{speaker()}: {place}: {error.strerror}; check the path and the disk.", file=sys.stderr)
        sys.exit(1)


def speaker() -> str:
    """Return who reports a mistake: the command, or one of several processes of it."""
    return "minigpt" if is_first_process() else f"minigpt (process {os.environ['RANK']})"
