"""Train the preset `tiny-shakespeare`, and keep what the book's replay shows: an hour and a half on one core.

    python -m experiments.shipped.tiny --out runs/tiny

Beside the log and the checkpoints, the folder receives `frames.jsonl`: at the steps of `is_shown`, what the model
writes then, and what each of its heads looks at in `READ`. Started again after an interruption, it goes on.
`experiments/replay_record.py` makes the record of the replay from that folder.
"""

import argparse
import base64
from pathlib import Path
from typing import Any

import torch

from experiments.shipped.preset_run import begin_preset
from experiments.training import watch
from minigpt import CharTokenizer, Trainer, generate
from minigpt.model.hooks import capture_activations
from minigpt.training.progress import progress_bar

PRESET = "tiny-shakespeare"
READ = "JULIET:\nWhat is thy name, my love"
SAMPLE = {"max_new_tokens": 200, "temperature": 0.8, "seed": 1}
EARLY = (0, 10, 25, 50)
EVERY = 100


def is_shown(step: int) -> bool:
    """Return whether the replay stops at a step."""
    return step in EARLY or step % EVERY == 0


def frame(trainer: Trainer) -> dict[str, Any]:
    """Return what the replay shows of the model as it is now; a head's weights are bytes in base64, row by row."""
    model, tokenizer = trainer.model, trainer.tokenizer
    model.eval()
    with torch.no_grad(), capture_activations(model, "blocks.*.attention.weights") as seen:
        model(torch.tensor([tokenizer.encode(READ)]))
    heads = {}
    for block, weights in enumerate(seen.values()):
        for head, matrix in enumerate((weights[0] * 255).round().to(torch.uint8)):
            heads[f"{block}.{head}"] = base64.b64encode(matrix.numpy().tobytes()).decode("ascii")
    sample = generate(model, tokenizer, trainer.config.sample_prompt, **SAMPLE)
    return {"sample": sample, "attention": heads}


def main() -> None:
    """Train, or go on, and write a frame wherever the replay stops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    trainer = begin_preset(folder, PRESET, "tinyshakespeare", CharTokenizer.from_text)
    run = progress_bar(trainer.run(), trainer.config.max_steps, start=trainer.step)
    watch(trainer, folder / "frames.jsonl", due=is_shown, look=frame, run=run)


if __name__ == "__main__":
    main()
