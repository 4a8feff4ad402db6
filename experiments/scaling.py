"""Train models of several widths on several amounts of text, for a small scaling law; the record goes to results/.

python -m experiments.scaling

Runs that the record holds already are not trained again.
"""

import json
import time
from pathlib import Path

import torch

from minigpt import GPT, CharTokenizer, GPTConfig, TrainConfig, Trainer, evaluate, load_corpus, split_text
from minigpt.data.batches import Split
from minigpt.planning.counting import num_parameters, training_flops
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "scaling.json"
WIDTHS = (16, 32, 64, 96)  # two layers each; a head is 16 channels wide
WIDER = (128, 192)  # put aside, to test a law that was fitted to the others
RUNS = [(width, steps) for steps in (150, 600) for width in WIDTHS] + [(width, 600) for width in WIDER]
RUNS += [(width, 1200) for width in WIDTHS] + [(width, 2400) for width in WIDTHS[:3]]
SETTINGS = TrainConfig(batch_size=16, learning_rate=3e-3, min_learning_rate=3e-4, warmup_steps=50, seed=1)
BLOCK_SIZE = 64


def train(config: GPTConfig, steps: int, data: Split) -> dict[str, float]:
    """Train one model and return what it reached."""
    torch.manual_seed(SETTINGS.seed)
    model = GPT(config)
    started = time.process_time()
    settings = SETTINGS.replace(max_steps=steps, eval_every=steps)
    records = list(Trainer(model, data, settings, device="cpu").run())
    seconds = time.process_time() - started
    found = evaluate(model, data.validation, config.block_size, max_windows=1000)
    tokens = steps * SETTINGS.batch_size * config.block_size
    return {
        "n_layer": config.n_layer,
        "n_embd": config.n_embd,
        "steps": steps,
        "parameters": num_parameters(config),
        "in_blocks": 12 * config.n_layer * config.n_embd**2,
        "tokens": tokens,
        "operations": tokens * training_flops(config),
        "training_loss": round(sum(record.loss for record in records[-50:]) / 50, 4),
        "validation_loss": round(found.loss, 4),
        "processor_seconds": round(seconds, 1),
    }


def main() -> None:
    """Take every run that is missing, and write the record anew after each."""
    corpus = load_corpus("tinyshakespeare")
    tokenizer = CharTokenizer.from_text(corpus.text)
    data = split_text(corpus.text, tokenizer)
    rows = json.loads(RECORD.read_text("utf-8"))["rows"] if RECORD.exists() else []
    done = {(row["n_embd"], row["steps"]) for row in rows}
    for width, steps in RUNS:
        if (width, steps) in done:
            continue
        sizes = {"n_layer": 2, "n_head": width // 16, "n_embd": width, "block_size": BLOCK_SIZE}
        rows.append(train(GPTConfig(vocab_size=tokenizer.vocab_size, **sizes), steps, data))
        print(rows[-1], flush=True)
        rows.sort(key=lambda row: (row["in_blocks"], row["steps"]))
        settings = {"block_size": BLOCK_SIZE, **SETTINGS.to_dict()}
        settings = {name: value for name, value in settings.items() if name not in ("max_steps", "eval_every")}
        corpus_entry = {"name": corpus.name, "sha256": corpus.sha256}
        record = {"machine": environment_info(), "corpus": corpus_entry, "training": settings, "rows": rows}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
