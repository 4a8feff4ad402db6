"""`minigpt generate` and `minigpt app`: models write, in the terminal or on a page."""

from pathlib import Path
from typing import Annotated

import typer

from minigpt import checkpoint
from minigpt.cli.options import CHECKPOINT_HELP, CheckpointFolder, echo_once, unescape
from minigpt.generation.generate import generate_stream
from minigpt.generation.sampling import Sampler
from minigpt.utils.machine import default_device


def generate(
    checkpoint_folder: CheckpointFolder,
    prompt: Annotated[str, typer.Option(help=r"The text to continue; \n is a line end, \\ a backslash.")],
    max_new_tokens: Annotated[int, typer.Option(help="The most tokens to add.")] = 300,
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder, 0 always the likeliest.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens that reach this mass.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Drop tokens below this share of the likeliest one.")] = None,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1 makes tokens seen before less likely.")] = 1.0,
    stop: Annotated[
        list[str] | None,
        typer.Option(help=r"End before this text, with \n as in the prompt; may be given several times."),
    ] = None,
    samples: Annotated[int, typer.Option("--num-samples", min=1, help="How many continuations to write.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same text.")] = None,
) -> None:
    r"""Let a model continue a prompt, as a stream.

    In the prompt and in --stop, \n stands for a line end, \t for a tab, \r for a carriage return, and \\ for one
    backslash.

    Example: minigpt generate --checkpoint tiny --prompt 'ROMEO:\n'
    """
    prompt, stops = unescape(prompt), list(map(unescape, stop or ()))
    sampler = Sampler(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=repetition_penalty
    )
    model, tokenizer = checkpoint.load(checkpoint_folder)
    model.to(default_device())
    for number in range(samples):
        pieces = generate_stream(
            model,
            tokenizer,
            prompt,
            max_new_tokens=max_new_tokens,
            sampler=sampler,
            stop=stops,
            seed=None if seed is None else seed + number,
        )
        if number > 0:
            typer.echo("---")
        typer.echo(prompt, nl=False)
        for piece in pieces:
            typer.echo(piece, nl=False)
        typer.echo()


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
    from minigpt.app.models import ModelRegistry
    from minigpt.app.page import build, start
    from minigpt.app.requests import Limits

    page = build(ModelRegistry(checkpoint_folders or ()), Limits(seconds=seconds))
    start(page, host, port)
    echo_once(f"The app is at http://{'localhost' if host == '0.0.0.0' else host}:{port}/ (Ctrl-C to stop).")
    page.block_thread()
