"""`minigpt evaluate`."""

import json
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from minigpt import checkpoint
from minigpt.cli.options import (
    CheckpointFolder,
    CorpusName,
    ShardsFolder,
    TextFile,
    open_training_data,
    require_one_source,
)
from minigpt.data.batches import Split, TokenSequence
from minigpt.data.foundation import load_foundation
from minigpt.evaluation.evaluate import EvalResult
from minigpt.evaluation.evaluate import evaluate as evaluate_model
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.files import sha256_file
from minigpt.utils.machine import default_device, environment_info

STDOUT = Path("-")


class Part(StrEnum):
    """The parts of a text that can be evaluated."""

    train = "train"
    validation = "validation"
    whole = "whole"

    def of(self, split: Split) -> TokenSequence:
        """Return this part's ids."""
        return torch.cat([split.train[:], split.validation[:]]) if self is Part.whole else getattr(split, self)


@dataclass(frozen=True)
class EvalSet:
    """What a model is evaluated on: the ids of one text, or of each voice of the foundation, by name."""

    name: str
    sha256: str
    ids: dict[str, TokenSequence]

    @property
    def n_tokens(self) -> int:
        """The number of tokens of all its ids."""
        return sum(map(len, self.ids.values()))


def evaluate(
    checkpoint_folder: CheckpointFolder,
    corpus: CorpusName = None,
    text: TextFile = None,
    shards: ShardsFolder = None,
    part: Annotated[
        Part, typer.Option(help="The last tenth of the text, what comes before it, or both.")
    ] = Part.validation,
    max_windows: Annotated[
        int | None, typer.Option(min=1, help="Only so many windows, spread evenly over the text, to save time.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write a JSON object to this file, which must not exist; - prints it.")
    ] = None,
) -> None:
    """Measure how well a model predicts a text: loss, perplexity, bits per character and per byte.

    Bits per byte can be compared between models with different tokenizers. The corpus foundation is measured voice by
    voice, too.

    Examples: minigpt evaluate --checkpoint tiny --corpus tinyshakespeare
    minigpt evaluate --checkpoint runs/mine --text held-out.txt --part whole --json found.json
    """
    taken = json_file is not None and json_file != STDOUT and json_file.exists()
    if taken:
        raise UserError(f"{json_file} exists already; choose another name.")
    model, tokenizer = checkpoint.load(checkpoint_folder)
    model.to(default_device())
    passage = _read_eval_set(corpus, text, shards, part, tokenizer, checkpoint_folder)
    found = {}
    for name, ids in passage.ids.items():
        windows = max_windows and max(1, round(max_windows * len(ids) / passage.n_tokens))
        found[name] = evaluate_model(model, ids, model.config.block_size, tokenizer=tokenizer, max_windows=windows)
    in_all = EvalResult.combine(found.values())
    voices = found if len(found) > 1 else {}
    if json_file is None:
        typer.echo(f"{passage.name}, {part} part: {in_all}" if part != Part.whole else f"{passage.name}: {in_all}")
        for name, voice in voices.items():
            typer.echo(f"{name}: {voice}")
        return
    report = {
        **in_all.to_dict(),
        "voices": {name: voice.to_dict() for name, voice in voices.items()},
        "text": {"name": passage.name, "part": part, "sha256": passage.sha256},
        "windows": {"block_size": model.config.block_size, "at_most": max_windows},
        **_describe_checkpoint(checkpoint_folder, tokenizer),
        "machine": environment_info(),
    }
    _write_report(report, json_file)


def _read_eval_set(
    corpus: str | None,
    text: Path | None,
    shards: Path | None,
    part: Part,
    tokenizer: Tokenizer,
    checkpoint_folder: Path,
) -> EvalSet:
    """Return the ids to evaluate on.

    Raises:
        UserError: more than one text is named, the text is not to be had, or it does not fit the tokenizer.
    """
    require_one_source(corpus, text, shards)
    if corpus == "foundation":
        foundation = load_foundation(tokenizer=tokenizer)
        ids = {name: part.of(split) for name, split in foundation.voices.items()}
        return EvalSet(corpus, foundation.sha256, ids)
    if shards is None:
        material = open_training_data(corpus, text, tokenizer)
    else:
        if part == Part.whole:
            raise UserError("A folder of shards is read part by part; choose --part train or validation.")
        material = open_training_data(corpus, text, shards=shards)
        own = checkpoint.find_checkpoint(checkpoint_folder) / "tokenizer.json"
        if material.tokenizer.to_dict() != tokenizer.to_dict():
            raise UserError(
                f"{shards} was prepared with another tokenizer than the model's; prepare the text again with "
                f"--tokenizer {shlex.quote(str(own))}."
            )
    return EvalSet(material.name, material.sha256, {material.name: part.of(material.data)})


def _describe_checkpoint(folder: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return which weights and which tokenizer were evaluated."""
    found = checkpoint.find_checkpoint(folder)
    return {
        "checkpoint": {"folder": str(folder), "sha256": sha256_file(found / "model.safetensors")},
        "tokenizer": {
            "kind": tokenizer.kind,
            "vocab_size": tokenizer.vocab_size,
            "sha256": sha256_file(found / "tokenizer.json"),
        },
    }


def _write_report(report: dict[str, Any], path: Path) -> None:
    """Write a report to a file, or print it."""
    lines = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    if path == STDOUT:
        typer.echo(lines)
    else:
        path.write_text(lines + "\n", encoding="utf-8")
        typer.echo(f"Written to {path}.")
