"""Queries and keys with and without a norm, at rising learning rates; the record goes to results/.

The same small model is trained with each learning rate, twice: as it is, and with QK-norm. The record holds the
validation loss of every run, and the largest score that attention computes at the end.

python -m experiments.qk_norm
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import TINY_MODEL, TINY_TRAINING, about_corpus, begin, curve, often_saved, read_characters
from minigpt import GPT, GPTConfig, TrainConfig, UserError, evaluate, naive_attention, read_run
from minigpt.data.batches import Split

CORPUS = "shakespeare-plays"
SIZES = {"block_size": 64, "n_layer": 2, "n_head": 4, "n_embd": 64, "norm": "rmsnorm"}
MODELS = {"without QK-norm": {"qk_norm": False}, "with QK-norm": {"qk_norm": True}}
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


def model_of(name: str, tiny: bool) -> GPTConfig:
    """Return one of the models."""
    tokenizer, _ = read_characters(CORPUS, tiny)
    return GPTConfig(vocab_size=tokenizer.vocab_size, **MODELS[name], **SIZES | (TINY_MODEL if tiny else {}))


def training_of(settings: Settings) -> TrainConfig:
    """Return how a model is trained."""
    steps, rate = settings["steps"], settings["rate"]
    usual = {"batch_size": 8, "warmup_steps": max(1, steps // 20), "eval_sequences": 64}
    return TrainConfig(
        max_steps=steps,
        learning_rate=rate,
        min_learning_rate=rate / 10,
        eval_every=max(1, steps // 5),
        seed=settings["seed"],
        **usual | (TINY_TRAINING if settings["tiny"] else {}),
    )


@torch.no_grad()
def largest_score(model: GPT, data: Split) -> float:
    """Return the largest |q · k| / √D of all layers, on a few windows of the validation part."""
    found: list[float] = []

    def watch(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        found.append((q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))).abs().max().item())
        return naive_attention(q, k, v)

    length = model.config.block_size
    for block in model.blocks:
        block.attention.attn_impl = watch
    model(torch.stack([data.validation[start : start + length] for start in range(0, 8 * length, length)]).long())
    return max(found)


def run(settings: Settings, folder: Path) -> Result:
    """Train one model; return its curve, its final loss and its largest score (no loss where training was stopped)."""
    tokenizer, data = read_characters(CORPUS, settings["tiny"])
    config = model_of(settings["model"], settings["tiny"])
    trainer = begin(folder, config, often_saved(training_of(settings)), data, tokenizer)
    try:
        for _ in trainer.run():
            pass
        final = round(evaluate(trainer.model, data.validation, config.block_size, max_windows=500).loss, 4)
    except UserError as error:  # the loss has exploded
        print(error)
        final = None
    return {
        "curve": curve(read_run(folder / "log.jsonl").records),
        "final": final,
        "largest_score": round(largest_score(trainer.model, data), 2),
    }


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    changing = {"learning_rate": "see each run", "min_learning_rate": "a tenth of it", "seed": "see each run"}
    return {
        "note": "runs by model, learning rate and seed; validation loss in nats per character, `final` over 500 "
        "windows; `largest_score` is the largest |q · k| / √D on 8 windows at the end",
        "corpus": about_corpus(CORPUS, settings["tiny"]),
        "settings": training_of(settings | {"rate": RATES[0], "seed": 0}).to_dict() | changing,
        "models": {name: {"config": model_of(name, settings["tiny"]).to_dict()} for name in MODELS},
    }


EXPERIMENT = Experiment(
    record="qk-norm.json",
    varied=grid(rate=RATES, model=MODELS),
    seeds=(1, 2),
    flags={"steps": 300},
    tiny={"steps": 20},
    run=run,
    about=about,
    place=("models", "{model}", "runs", "{rate}", "{seed}"),
    metrics={"final": lambda run: run["final"], "largest_score": lambda run: run["largest_score"]},
    baseline={"model": "without QK-norm"},
)

if __name__ == "__main__":
    main(EXPERIMENT)
