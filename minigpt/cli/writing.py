"""`minigpt generate` and `minigpt evaluate`."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor

from minigpt import checkpoint
from minigpt.cli.shared import CheckpointFolder, CorpusName, TextFile, open_corpus
from minigpt.data import split_text
from minigpt.evaluate import Evaluation
from minigpt.evaluate import evaluate as evaluate_model
from minigpt.foundation import load_foundation
from minigpt.generate import stream
from minigpt.machine import pick_device
from minigpt.tokenizers import Tokenizer


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
    max_windows: Annotated[
        int | None, typer.Option(min=1, help="Only so many windows, spread evenly over the text, to save time.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a sentence.")] = False,
) -> None:
    """Measure how well a model predicts a text: loss, perplexity and bits per character, over the whole part.

    The corpus foundation is measured voice by voice, too.

    Example: minigpt evaluate --checkpoint checkpoints/tiny --corpus tinyshakespeare
    """
    model, tokenizer = checkpoint.load(checkpoint_folder)
    model.to(pick_device())
    parts = read_parts(corpus, text, tokenizer, part)
    total = sum(len(ids) for ids in parts.values())
    found = {}
    for name, ids in parts.items():
        windows = max_windows and max(1, round(max_windows * len(ids) / total))
        found[name] = evaluate_model(model, ids, model.config.block_size, tokenizer=tokenizer, max_windows=windows)
    name = corpus if text is None else text.name
    in_all = Evaluation.over_all(found.values())
    voices = found if len(found) > 1 else {}
    if as_json:
        listed = {"voices": {each: described(voice) for each, voice in voices.items()}} if voices else {}
        typer.echo(json.dumps({"corpus": name, "part": part, **described(in_all), **listed}))
        return
    typer.echo(f"{name}, {part} part: {in_all}")
    for each, voice in voices.items():
        typer.echo(f"{each}: {voice}")


def read_parts(corpus: str, text: Path | None, tokenizer: Tokenizer, part: Part) -> dict[str, Tensor]:
    """Return the ids to evaluate on, by name: one text, or each voice of the foundation."""
    if text is None and corpus == "foundation":
        voices = load_foundation(tokenizer=tokenizer).voices
        return {name: getattr(split, part) for name, split in voices.items()}
    source = open_corpus(corpus, text)
    return {source.name: getattr(split_text(source.text, tokenizer), part)}


def described(found: Evaluation) -> dict[str, float]:
    """Return an evaluation and what follows from it as JSON values."""
    return {**asdict(found), "perplexity": found.perplexity, "bits_per_character": found.bits_per_character}
