"""`minigpt generate` and `minigpt evaluate`."""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from minigpt import checkpoint
from minigpt.cli.shared import CheckpointFolder, CorpusName, TextFile, open_corpus
from minigpt.data import split_text
from minigpt.evaluate import evaluate as evaluate_model
from minigpt.generate import stream
from minigpt.machine import pick_device


class Part(StrEnum):
    """The parts of a text that can be evaluated."""

    train = "train"
    validation = "validation"


def generate(
    checkpoint_folder: CheckpointFolder,
    prompt: Annotated[str, typer.Option(help="The text to continue.")],
    max_new_tokens: Annotated[int, typer.Option(help="The most tokens to add.")] = 300,
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder, 0 always the likeliest.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens that reach this mass.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Drop tokens below this share of the likeliest one.")] = None,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1 makes tokens seen before less likely.")] = 1.0,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text; may be given several times.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many continuations to write.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same text.")] = None,
) -> None:
    """Let a model continue a prompt, as a stream.

    Example: minigpt generate --checkpoint checkpoints/tiny --prompt "ROMEO:"
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    model.to(pick_device())
    for number in range(samples):
        pieces = stream(
            model,
            tokenizer,
            prompt,
            max_new_tokens=max_new_tokens,
            stop=stop or (),
            seed=None if seed is None else seed + number,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
        )
        if number > 0:
            typer.echo("---")
        typer.echo(prompt, nl=False)
        for piece in pieces:
            typer.echo(piece, nl=False)
        typer.echo()


def evaluate(
    checkpoint_folder: CheckpointFolder,
    corpus: CorpusName = "tinyshakespeare",
    text: TextFile = None,
    part: Annotated[Part, typer.Option(help="The last tenth of the text, or what comes before it.")] = Part.validation,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a sentence.")] = False,
) -> None:
    """Measure how well a model predicts a text: loss, perplexity and bits per character, over the whole part.

    Example: minigpt evaluate --checkpoint checkpoints/tiny --corpus tinyshakespeare
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    source = open_corpus(corpus, text)
    ids = getattr(split_text(source.text, tokenizer), part)
    found = evaluate_model(model.to(pick_device()), ids, model.config.block_size, tokenizer=tokenizer)
    if as_json:
        derived = {"perplexity": found.perplexity, "bits_per_character": found.bits_per_character}
        typer.echo(json.dumps({"corpus": source.name, "part": part, **asdict(found), **derived}))
    else:
        typer.echo(f"{source.name}, {part} part: {found}")
