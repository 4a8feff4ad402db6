"""`minigpt app`."""

from pathlib import Path
from typing import Annotated

import typer

from minigpt.app.models import ModelRegistry
from minigpt.app.requests import Limits
from minigpt.cli.options import CHECKPOINT_HELP, echo_once


def open_app(
    checkpoint_folders: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help=f"{CHECKPOINT_HELP} May be given several times."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to serve at.")] = 7860,
    host: Annotated[
        str, typer.Option(help="Who can reach the page: 127.0.0.1 is this machine alone, 0.0.0.0 its whole network.")
    ] = "127.0.0.1",
    seconds: Annotated[
        float, typer.Option("--timeout", min=1, help="The most seconds that one request may write.")
    ] = 30.0,
) -> None:
    """Open a page on which your models and the shipped ones write, as the Space on the hub does.

    Example: minigpt app --checkpoint runs/mine
    """
    from minigpt.app.page import build, start

    page = build(ModelRegistry(checkpoint_folders or ()), Limits(seconds=seconds))
    start(page, host, port)
    echo_once(f"The app is at http://{'localhost' if host == '0.0.0.0' else host}:{port}/ (Ctrl-C to stop).")
    page.block_thread()
