"""Measure what storing the shipped models for the playground does to their loss, and record it in `results/`.

python -m experiments.rounding
"""

from pathlib import Path

from experiments.common import Experiment, Result, Settings, grid, main
from minigpt import asset_path, checkpoint, load_corpus, load_foundation, split_text
from minigpt.checkpoint.web import quantization_loss
from minigpt.data.batches import TokenSequence
from minigpt.model.quantization import QUANTIZERS
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.files import sha256_file

CORPORA = {"tiny": "tinyshakespeare", "medium": "foundation"}


def held_out(corpus: str, tokenizer: Tokenizer) -> TokenSequence:
    """Return the ids of a corpus on which a shipped model was not trained."""
    if corpus == "foundation":
        return load_foundation(tokenizer=tokenizer).split.validation
    return split_text(load_corpus(corpus).text, tokenizer).validation


def run(settings: Settings, folder: Path) -> Result:
    """Measure one model in one precision."""
    corpus = CORPORA[settings["model"]]
    model, tokenizer = checkpoint.load(asset_path(f"checkpoints/{settings['model']}"))
    ids = held_out(corpus, tokenizer)
    return quantization_loss(model, settings["precision"], ids, corpus, settings["max_windows"])


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    weights = {name: asset_path(f"checkpoints/{name}") / "model.safetensors" for name in CORPORA}
    return {
        "max_windows": settings["max_windows"],  # of each text, spread evenly
        "models": {name: {"sha256": sha256_file(path)} for name, path in weights.items()},
    }


EXPERIMENT = Experiment(
    record="rounding.json",
    varied=grid(model=CORPORA, precision=QUANTIZERS),
    flags={"max_windows": 500},
    tiny={"max_windows": 2},
    run=run,
    about=about,
    place=("models", "{model}", "precisions", "{precision}"),
)

if __name__ == "__main__":
    main(EXPERIMENT)
