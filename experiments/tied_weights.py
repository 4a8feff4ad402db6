"""One matrix or two: models with a tied and an untied head on the same text; the record goes to results/.

Three models read 2,048 subwords: tied, untied with the same width, and untied but narrower, so that it has about as
many parameters as the tied one. Each is trained with several seeds; the record is written after each run, and a call
with another number of steps or other seeds adds to it.

python -m experiments.tied_weights
python -m experiments.tied_weights --steps 800 --seeds 1
"""

import argparse
import json
from pathlib import Path

import torch

from minigpt import GPT, GPTConfig, TrainConfig, Trainer, count_parameters, evaluate, load_corpus, split_text
from minigpt.tokenizer.bpe import BPETokenizer
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "tied-or-untied.json"
SIZES = {"vocab_size": 2048, "block_size": 64, "n_layer": 2, "n_head": 4}
MODELS = {
    "tied": GPTConfig(**SIZES, n_embd=64, tie_weights=True),
    "untied, same width": GPTConfig(**SIZES, n_embd=64),
    "untied, same size": GPTConfig(**SIZES, n_embd=44),
}


def settings(steps: int, seed: int) -> TrainConfig:
    """Return how every model is trained."""
    return TrainConfig(
        max_steps=steps,
        batch_size=16,
        learning_rate=3e-3,
        min_learning_rate=3e-4,
        warmup_steps=max(1, steps // 20),
        eval_every=max(1, steps // 12),
        eval_sequences=128,
        seed=seed,
    )


def new_record() -> dict:
    """Return a record without any runs."""
    return {
        "note": "runs by number of steps and by seed; validation loss in nats per token, `final` over the whole "
        "validation part; the settings are those of 400 steps, and warmup and evaluations follow the number of steps",
        "settings": settings(400, 0).to_dict() | {"max_steps": "see each run", "seed": "see each run"},
        "models": {
            name: {"config": config.to_dict(), "parameters": count_parameters(GPT(config)), "runs": {}}
            for name, config in MODELS.items()
        },
    }


def main() -> None:
    """Train all models with one seed, then with the next, and add the curves and the final losses to the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    corpus = load_corpus("shakespeare-plays")
    tokenizer = BPETokenizer.train(corpus.text, SIZES["vocab_size"], fast=True)
    data = split_text(corpus.text, tokenizer)
    record = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else new_record()
    record |= {
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "training_tokens": len(data.train)},
        "machine": environment_info(),
    }
    for seed in arguments.seeds:
        for name, config in MODELS.items():
            torch.manual_seed(seed)
            model = GPT(config)
            run = list(Trainer(model, data, settings(arguments.steps, seed), device="cpu").run())
            curve = [(each.step, round(each.validation_loss, 4)) for each in run if each.validation_loss is not None]
            final = evaluate(model, data.validation, config.block_size).loss
            runs = record["models"][name]["runs"].setdefault(str(arguments.steps), {})
            runs[str(seed)] = {"curve": curve, "final": round(final, 4)}
            arguments.out.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"seed {seed}, {name}: {final:.4f}", flush=True)


if __name__ == "__main__":
    main()
