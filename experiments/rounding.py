"""Measure what storing the shipped models for the playground does to their loss, and record it in `results/`."""

import argparse
import json
from pathlib import Path

from minigpt import asset_path, checkpoint, load_corpus, load_foundation, split_text
from minigpt.checkpoint.web import quantization_loss
from minigpt.data.batches import TokenSequence
from minigpt.model.quantization import QUANTIZERS
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.files import sha256_file
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "rounding.json"
CORPORA = {"tiny": "tinyshakespeare", "medium": "foundation"}


def held_out(corpus: str, tokenizer: Tokenizer) -> TokenSequence:
    """Return the ids of a corpus on which a shipped model was not trained."""
    if corpus == "foundation":
        return load_foundation(tokenizer=tokenizer).split.validation
    return split_text(load_corpus(corpus).text, tokenizer).validation


def main() -> None:
    """Measure each model in each precision."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--max-windows", type=int, default=500, help="windows of each text, spread evenly")
    max_windows = arguments.parse_args().max_windows
    models = {}
    for name, corpus in CORPORA.items():
        folder = asset_path(f"checkpoints/{name}")
        model, tokenizer = checkpoint.load(folder)
        ids = held_out(corpus, tokenizer)
        precisions = {each: quantization_loss(model, each, ids, corpus, max_windows) for each in QUANTIZERS}
        models[name] = {"sha256": sha256_file(folder / "model.safetensors"), "precisions": precisions}
        print(name, precisions)
    record = {"max_windows": max_windows, "models": models, "machine": environment_info()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
