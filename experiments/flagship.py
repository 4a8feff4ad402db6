"""Train a shipped model's recipe, or a change of it, and measure it over the whole validation part.

    python -m experiments.flagship --preset tiny-modern --seed 1
    python -m experiments.flagship --preset tiny-modern --seed 1 --set dropout=0.3

Each run has a folder in `runs/flagship`, named by what differs from the preset, and goes on there after an
interruption. When it ends, its line is written to `results/flagship/NAME.json`: settings, losses of `last` and `best`
over the whole validation part (the first `block_size` characters only as context), seconds of this process's CPU.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from minigpt import (
    GPT,
    CharTokenizer,
    Trainer,
    count_parameters,
    evaluate,
    load_corpus,
    model_preset,
    split_text,
    training_preset,
)
from minigpt.checkpoint.save_load import load
from minigpt.config import GPTConfig
from minigpt.data.batches import Split
from minigpt.training.progress import progress_bar
from minigpt.utils.files import atomic_write_text
from minigpt.utils.machine import environment_info

RESULTS = Path(__file__).parents[1] / "results" / "flagship"
CORPUS = {"tiny-modern": "tinyshakespeare", "tiny-shakespeare": "tinyshakespeare", "medium-char": "foundation"}


def parse_changes(words: list[str]) -> dict[str, Any]:
    """Return `name=value` words as a dictionary, the values read as JSON where they are JSON."""
    changes = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            changes[name] = json.loads(value)
        except json.JSONDecodeError:
            changes[name] = value
    return changes


def open_trainer(folder: Path, preset: str, seed: int, changes: dict[str, Any]) -> Trainer:
    """Return the trainer of a new run, or of the one that the folder holds."""
    corpus = load_corpus(CORPUS[preset])
    if (folder / "last").exists():
        return Trainer.resume(folder, split_text(corpus.text, load(folder / "last").tokenizer))
    tokenizer = CharTokenizer.from_text(corpus.text)
    sizes = {name: value for name, value in changes.items() if name in GPTConfig.__dataclass_fields__}
    rest = {name: value for name, value in changes.items() if name not in sizes}
    torch.manual_seed(seed)
    model = GPT(model_preset(preset, **sizes))
    note = {"preset": preset, "corpus": {"name": corpus.name, "sha256": corpus.sha256}}
    data = split_text(corpus.text, tokenizer)
    settings = training_preset(preset, seed=seed, **rest)
    return Trainer(model, data, settings, tokenizer=tokenizer, folder=folder, metadata=note)


def measure(folder: Path, data: Split) -> dict[str, Any]:
    """Return the losses of a run's two checkpoints over the whole validation part, in nats per token."""
    found = {}
    for name in ("last", "best"):
        model = load(folder / name).model
        found[name] = evaluate(model, data.validation, model.config.block_size).loss
    return found


def main() -> None:
    """Train one run to its end, and write its line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=CORPUS, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="fields that differ from the preset")
    parser.add_argument("--runs", type=Path, default=Path("runs/flagship"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    changes = parse_changes(asked.set)
    name = "-".join([asked.preset, *(f"{key}={value}" for key, value in sorted(changes.items())), f"seed{asked.seed}"])
    trainer = open_trainer(asked.runs / name, asked.preset, asked.seed, changes)
    cpu_before, step_before = time.process_time(), trainer.step
    for _ in progress_bar(trainer.run(), trainer.config.max_steps, start=trainer.step):
        pass
    taken = trainer.step - step_before
    record = {
        "name": name,
        "seed": asked.seed,
        "parameters": count_parameters(trainer.model),
        "model": trainer.model.config.to_dict(),
        "training": trainer.config.to_dict(),
        "loss": measure(asked.runs / name, trainer.data),
        "cpu_seconds_per_step": round((time.process_time() - cpu_before) / taken, 3) if taken else None,
        "seconds": round(trainer.seconds, 1),
        "machine": environment_info(),
    }
    asked.results.mkdir(parents=True, exist_ok=True)
    atomic_write_text(asked.results / f"{name}.json", json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["loss"]))


if __name__ == "__main__":
    main()
