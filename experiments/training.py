"""One run of an experiment: its corpus, a training that goes on after a kill, and what is looked at on the way."""

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch

from minigpt import GPT, CharTokenizer, Corpus, GPTConfig, Split, StepMetrics, TrainConfig, Trainer, read_run
from minigpt.checkpoint.run_log import validation_curve
from minigpt.data.batches import split_text
from minigpt.data.corpora import load_corpus
from minigpt.data.toy_stories import sample_story
from minigpt.model.gpt import Factory
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.files import atomic_write_text

TINY_MODEL = {"block_size": 16, "n_layer": 1, "n_head": 2, "n_embd": 16}
TINY_TRAINING = {"batch_size": 2, "eval_sequences": 2, "warmup_steps": 1}


@cache
def read_corpus(name: str, tiny: bool = False) -> Corpus:
    """Return a corpus or, in a miniature, little stories in its place."""
    if not tiny:
        return load_corpus(name)
    random = Random(0)
    return Corpus("little stories", "\n\n".join(sample_story(random) for _ in range(100)))


@cache
def read_characters(name: str, tiny: bool = False) -> tuple[CharTokenizer, Split]:
    """Return a corpus as characters."""
    text = read_corpus(name, tiny).text
    tokenizer = CharTokenizer.from_text(text)
    return tokenizer, split_text(text, tokenizer)


def about_corpus(name: str, tiny: bool = False) -> dict[str, Any]:
    """Return what a record says about its corpus."""
    corpus = read_corpus(name, tiny)
    return {"name": corpus.name, "sha256": corpus.sha256}


def begin(
    folder: Path,
    config: GPTConfig,
    training: TrainConfig,
    data: Split,
    tokenizer: Tokenizer,
    *,
    device: torch.device | str | None = "cpu",
    metadata: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
    **factories: Factory,
) -> Trainer:
    """Return the trainer of a new run, its model drawn with the seed, or of the one that the folder holds.

    `changes` are made to the settings of a run that is gone on with; without them, it must have the same settings.

    Raises:
        UserError: the folder holds another run.
    """
    if (folder / "log.jsonl").exists():
        trainer = Trainer.resume(folder, data, device=device, changes=changes, **factories)
        if trainer.model.config != config or (changes is None and trainer.config != training):
            raise UserError(f"{folder} holds a run with other settings; delete it, or choose another folder.")
        return trainer
    torch.manual_seed(training.seed)
    model = GPT(config, **factories)
    return Trainer(model, data, training, tokenizer=tokenizer, folder=folder, device=device, metadata=metadata)


def train(
    folder: Path, config: GPTConfig, training: TrainConfig, data: Split, tokenizer: Tokenizer, **factories: Factory
) -> tuple[GPT, list[StepMetrics]]:
    """Train to the end on the CPU, or go on where the folder has it; return the model and the log of all steps."""
    trainer = begin(folder, config, often_saved(training), data, tokenizer, **factories)
    for _ in trainer.run():
        pass
    return trainer.model, read_run(folder / "log.jsonl").records


def often_saved(training: TrainConfig) -> TrainConfig:
    """Return settings with which a kill costs no more than a tenth of the run."""
    return training.replace(save_every=max(1, training.max_steps // 10))


def curve(records: Iterable[StepMetrics]) -> list[tuple[int, float]]:
    """Return the steps with their validation losses, as a record holds them."""
    return [(step, round(loss, 4)) for step, loss in validation_curve(records)]


def watch(
    trainer: Trainer,
    path: Path,
    due: Callable[[int], bool],
    look: Callable[[Trainer], dict[str, Any]],
    run: Iterable[StepMetrics] | None = None,
) -> list[dict[str, Any]]:
    """Train to the end, look at the model after each step that is due, and return what was seen, as the file holds it.

    The file has a line for each look. After a kill, lines from the step on at which the run goes on are made again.
    """
    lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
    seen = [row for row in map(json.loads, lines) if row["step"] < trainer.step]
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, "".join(json.dumps(row) + "\n" for row in seen))

    def add() -> None:
        line = json.dumps({"step": trainer.step} | look(trainer))
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        seen.append(json.loads(line))

    if due(trainer.step):
        add()
    for record in trainer.run() if run is None else run:
        if due(record.step):
            add()
    return seen
