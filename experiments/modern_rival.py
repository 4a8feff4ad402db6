"""The shipped Tiny model's architecture beside a modern one of the same size, with AdamW and with Muon.

python -m experiments.modern_rival
python -m experiments.modern_rival --seeds 2

The rival has rotary positions, RMSNorm, QK-norm, ReLU² and no biases, and its hidden layer is as wide as Tiny's number
of parameters allows. All four runs read the same windows of Tiny Shakespeare in the same order, with the recipe of the
shipped model cut short and without dropout. The record is written after each run, and a second call goes on where the
first was stopped.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from minigpt import (
    GPT,
    CharTokenizer,
    GPTConfig,
    Split,
    TrainConfig,
    Trainer,
    count_parameters,
    evaluate,
    load_corpus,
    model_preset,
    split_text,
    training_preset,
)
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "modern-rival.json"
TINY = model_preset("tiny-shakespeare", dropout=0.0)
MODERN = {"position": "rope", "norm": "rmsnorm", "qk_norm": True, "mlp": "relu2", "bias": False, "lm_head_bias": False}
RIVAL = TINY.replace(**MODERN, mlp_dim=800)
RUNS = {  # name: architecture and optimizer
    "Tiny, AdamW": (TINY, "adamw"),
    "rival, AdamW": (RIVAL, "adamw"),
    "rival, Muon": (RIVAL, "muon"),
    "Tiny, Muon": (TINY, "muon"),
}
SETTINGS = training_preset(
    "tiny-shakespeare", max_steps=300, warmup_steps=30, eval_every=25, eval_sequences=48, sample_every=0
)


def train(config: GPTConfig, data: Split, settings: TrainConfig) -> dict[str, Any]:
    """Train one model, and return what the record keeps of it: losses in nats per character, time in seconds."""
    torch.manual_seed(settings.seed)
    model = GPT(config)
    records = list(Trainer(model, data, settings, device="cpu").run())
    steps = [settings.batch_size * config.block_size / each.tokens_per_second for each in records]
    curve = [
        [each.step, round(each.validation_loss, 4), round(sum(steps[: each.step]), 2)]
        for each in records
        if each.validation_loss is not None
    ]
    return {
        "curve": curve,
        "training_loss": [round(each.loss, 4) for each in records],
        "whole_validation_loss": round(evaluate(model, data.validation, config.block_size).loss, 4),
        "seconds": round(sum(steps), 1),
    }


def main() -> None:
    """Train all four with one seed, then with the next, and add what came out to the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1337])
    parser.add_argument("--steps", type=int, default=SETTINGS.max_steps)
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpus = load_corpus("tinyshakespeare")
    data = split_text(corpus.text, CharTokenizer.from_text(corpus.text))
    settings = SETTINGS.replace(max_steps=arguments.steps)
    record = {
        "note": "`curve` holds steps, validation losses over the watched windows, and seconds of training without "
        "evaluations; all losses are in nats per character",
        "settings": settings.to_dict() | {"seed": "see each run", "optimizer": "see each run"},
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "threads": 1,
        "models": {
            name: {"config": config.to_dict(), "optimizer": optimizer, "parameters": count_parameters(GPT(config))}
            for name, (config, optimizer) in RUNS.items()
        },
        "runs": {},
    }
    if arguments.out.exists():
        record["runs"] = json.loads(arguments.out.read_text("utf-8"))["runs"]
    record["machine"] = environment_info()
    for seed in arguments.seeds:
        for name, (config, optimizer) in RUNS.items():
            runs = record["runs"].setdefault(name, {})
            if str(seed) in runs:
                continue
            runs[str(seed)] = run = train(config, data, settings.replace(seed=seed, optimizer=optimizer))
            arguments.out.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"seed {seed}, {name}: {run['whole_validation_loss']} in {run['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
