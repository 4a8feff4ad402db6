"""Queries and keys with and without a norm, at rising learning rates; the record goes to results/.

The same small model is trained with each learning rate, twice: as it is, and with QK-norm. The record holds the
validation loss of every run, and the largest score that attention computes at the end. It is written after each run,
and a second call goes on where the first was stopped.

python -m experiments.qk_norm
"""

import argparse
import json
import math
from pathlib import Path

import torch
from torch import Tensor

from minigpt import GPT, GPTConfig, TrainConfig, Trainer, UserError, evaluate, load_corpus, naive_attention, split_text
from minigpt.data.batches import Split
from minigpt.tokenizer.char import CharTokenizer
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "qk-norm.json"
SIZES = {"block_size": 64, "n_layer": 2, "n_head": 4, "n_embd": 64, "norm": "rmsnorm"}
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


def settings(learning_rate: float, seed: int, steps: int) -> TrainConfig:
    """Return how every model is trained."""
    return TrainConfig(
        max_steps=steps,
        batch_size=8,
        learning_rate=learning_rate,
        min_learning_rate=learning_rate / 10,
        warmup_steps=max(1, steps // 20),
        eval_every=max(1, steps // 5),
        eval_sequences=64,
        seed=seed,
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


def train(config: GPTConfig, data: Split, training: TrainConfig) -> dict:
    """Train one model; return its curve, its final loss and its largest score (no loss where training was stopped)."""
    torch.manual_seed(training.seed)
    model = GPT(config)
    curve: list[tuple[int, float]] = []
    try:
        for record in Trainer(model, data, training, device="cpu").run():
            if record.validation_loss is not None:
                curve.append((record.step, round(record.validation_loss, 4)))
        final = round(evaluate(model, data.validation, config.block_size, max_windows=500).loss, 4)
    except UserError as error:
        print(error)
        final = None
    return {"curve": curve, "final": final, "largest_score": round(largest_score(model, data), 2)}


def main() -> None:
    """Train at every rate, with and without the norm, with one seed after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    corpus = load_corpus("shakespeare-plays")
    tokenizer = CharTokenizer.from_text(corpus.text)
    data = split_text(corpus.text, tokenizer)
    models = {
        name: GPTConfig(vocab_size=tokenizer.vocab_size, qk_norm=norm, **SIZES)
        for name, norm in (("without QK-norm", False), ("with QK-norm", True))
    }
    record = {
        "note": "runs by model, learning rate and seed; validation loss in nats per character, `final` over 500 "
        "windows; `largest_score` is the largest |q · k| / √D on 8 windows at the end",
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "settings": settings(1e-3, 0, arguments.steps).to_dict()
        | {"learning_rate": "see each run", "min_learning_rate": "a tenth of it", "seed": "see each run"},
        "machine": environment_info(),
        "models": {name: {"config": config.to_dict(), "runs": {}} for name, config in models.items()},
    }
    if arguments.out.exists():
        record["models"] = json.loads(arguments.out.read_text("utf-8"))["models"]
    for seed in arguments.seeds:
        for rate in RATES:
            for name, config in models.items():
                runs = record["models"][name]["runs"].setdefault(str(rate), {})
                if str(seed) in runs:
                    continue
                runs[str(seed)] = run = train(config, data, settings(rate, seed, arguments.steps))
                arguments.out.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
                print(f"seed {seed}, rate {rate:g}, {name}: {run['final']}, score {run['largest_score']}", flush=True)


if __name__ == "__main__":
    main()
