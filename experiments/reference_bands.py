"""Train a chapter's reference runs, one for each seed, and write their envelope to results/reference_bands/.

    MINIGPT_TIER=cpu python -m experiments.reference_bands 06_training --corpus tinyshakespeare --keep FOLDER

What is trained stands in the chapter itself: the cell with the tag `reference-run` sets `config` and `training`.
In the place of a chapter, `clinic` is a small setting on which mistakes show in seconds, for the tests of `check_run`.
The runs are kept in FOLDER, and those that are there already are not trained again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import minigpt
from minigpt import (
    GPT,
    CharTokenizer,
    GPTConfig,
    RunLog,
    Split,
    TrainConfig,
    Trainer,
    load_corpus,
    load_foundation,
    read_run,
    split_text,
    tier,
)
from minigpt.checkpoint.run_log import write_run
from minigpt.notebook.check_run.reference import make_reference_band
from minigpt.utils.machine import environment_info

ROOT = Path(__file__).parent.parent
TAG = "reference-run"
CLINIC = GPTConfig(vocab_size=1, block_size=16, n_layer=2, n_head=4, n_embd=64, dropout=0.2)
CLINIC_TRAINING = TrainConfig(
    max_steps=300,
    batch_size=16,
    learning_rate=5e-3,
    min_learning_rate=5e-4,
    warmup_steps=20,
    eval_every=25,
    eval_sequences=128,
)
SEEDS = (1, 2, 3)  # not the seed of any chapter, so that a reader's run is one more, and not one of these


def read_corpus(name: str) -> tuple[CharTokenizer, Split, dict[str, Any]]:
    """Return the tokenizer, the ids, and what the header says about the corpus."""
    if name == "foundation":
        foundation = load_foundation()
        return foundation.tokenizer, foundation.split, {"name": name, "sha256": foundation.sha256}
    corpus = load_corpus(name)
    tokenizer = CharTokenizer.from_text(corpus.text)
    return tokenizer, split_text(corpus.text, tokenizer), {"name": name, "sha256": corpus.sha256}


def reference_settings(chapter: str, tokenizer: CharTokenizer) -> tuple[GPTConfig, TrainConfig]:
    """Return the model and the training that a chapter's reference cell sets on the tier in force."""
    if chapter == "clinic":
        return CLINIC.replace(vocab_size=tokenizer.vocab_size), CLINIC_TRAINING
    notebook = json.loads((ROOT / "chapters" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if TAG in cell["metadata"].get("tags", [])]
    names = dict(vars(minigpt)) | {"tokenizer": tokenizer, "V": tokenizer.vocab_size}
    exec("\n".join(cells), names)
    return names["config"], names["training"]


def reference_run(config: GPTConfig, training: TrainConfig, data: Split, header: dict[str, Any]) -> RunLog:
    """Train one run and return its record."""
    torch.manual_seed(training.seed)
    run = RunLog({"model": config.to_dict(), "training": training.to_dict(), "machine": environment_info()} | header)
    for record in Trainer(GPT(config), data, training, device="cpu").run():
        run.records.append(record)
        if record.validation_loss is not None:
            print(f"seed {training.seed}, step {record.step:,}: {record.validation_loss:.3f}", flush=True)
    return run


def main() -> None:
    """Train what is missing, and write the envelope."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapter", help="such as 06_training, or clinic")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--keep", type=Path, required=True, help="the folder of the runs themselves")
    arguments = parser.parse_args()
    tokenizer, data, about = read_corpus(arguments.corpus)
    config, training = reference_settings(arguments.chapter, tokenizer)
    kind = [arguments.chapter] if arguments.chapter == "clinic" else [arguments.chapter, tier()]
    name = "-".join([*kind, arguments.corpus])
    runs = []
    for seed in SEEDS:
        path = arguments.keep / f"{name}-{seed}.jsonl"
        if not path.exists():
            run = reference_run(config, training.replace(seed=seed), data, {"corpus": about})
            write_run(path, run.header, run.records)
        runs.append(read_run(path))
    target = ROOT / "results" / "reference_bands" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    make_reference_band(", ".join([arguments.chapter, *(f"{one} tier" for one in kind[1:])]), runs).save(target)
    print(f"{target.relative_to(ROOT)} holds {len(runs)} runs.")


if __name__ == "__main__":
    main()
