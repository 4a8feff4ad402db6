"""One small model, trained on characters and on subwords for the same number of tokens; the record goes to results/.

python -m experiments.characters_or_subwords

The vocabularies are learnt from the training part. All are compared in bits per character of the validation part.
"""

import math
from pathlib import Path

import torch

from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import TINY_MODEL, TINY_TRAINING, about_corpus, curve, read_corpus, train
from minigpt import BPETokenizer, CharTokenizer, GPTConfig, Split, TrainConfig, count_parameters, evaluate

VOCABULARIES = {"characters": None, "512 subwords": 512, "2,048 subwords": 2048}
SIZES = {"block_size": 64, "n_layer": 2, "n_head": 4, "n_embd": 96}
SETTINGS = TrainConfig(batch_size=16, learning_rate=2e-3, min_learning_rate=2e-4, warmup_steps=50)


def training_of(settings: Settings) -> TrainConfig:
    """Return how every model is trained."""
    steps = settings["steps"]
    smaller = TINY_TRAINING if settings["tiny"] else {}
    return SETTINGS.replace(max_steps=steps, eval_every=max(1, steps // 12), **smaller)


def run(settings: Settings, folder: Path) -> Result:
    """Learn a vocabulary, train a model on it, and return what it reached."""
    text = read_corpus(settings["corpus"], settings["tiny"]).text
    border = len(text) * 9 // 10
    learning, held_out = text[:border], text[border:]
    size = VOCABULARIES[settings["vocabulary"]]
    size = min(size, 300) if size and settings["tiny"] else size
    tokenizer = BPETokenizer.train(learning, size) if size else CharTokenizer.from_text(text)
    data = Split(torch.tensor(tokenizer.encode(learning)), torch.tensor(tokenizer.encode(held_out)))
    config = GPTConfig(vocab_size=tokenizer.vocab_size, **SIZES | (TINY_MODEL if settings["tiny"] else {}))
    model, records = train(folder, config, training_of(settings), data, tokenizer)
    found = evaluate(model, data.validation, config.block_size, tokenizer=tokenizer, max_windows=400)
    per_token = len(held_out) / len(data.validation)
    return {
        "vocab_size": tokenizer.vocab_size,
        "parameters": count_parameters(model),
        "characters_per_token": round(per_token, 3),
        "nats_per_token": round(found.loss, 4),
        "bits_per_character": round(found.bits_per_character, 4),
        "seconds": round(records[-1].seconds, 1),
        "curve": [[step, loss, round(loss / math.log(2) / per_token, 4)] for step, loss in curve(records)],
    }


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    return {
        "corpus": about_corpus(settings["corpus"], settings["tiny"]),
        "model": SIZES,
        "training": training_of(settings).to_dict(),
    }


EXPERIMENT = Experiment(
    record="characters-or-subwords.json",
    varied=grid(vocabulary=VOCABULARIES),
    flags={"steps": 600, "corpus": "tinyshakespeare"},
    tiny={"steps": 20},
    run=run,
    about=about,
    place=("runs", "{vocabulary}"),
)

if __name__ == "__main__":
    main(EXPERIMENT)
