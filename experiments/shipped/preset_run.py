"""The run of a shipped model: begun with its preset, or gone on with where its folder holds one already."""

from collections.abc import Callable
from pathlib import Path

import torch

from minigpt import GPT, Trainer, load_corpus, model_preset, split_text, training_preset
from minigpt.checkpoint.save_load import load
from minigpt.tokenizer.base import Tokenizer


def begin(folder: Path, preset_name: str, corpus_name: str, learn: Callable[[str], Tokenizer]) -> Trainer:
    """Return the trainer of a new run, whose tokenizer is learnt from the text, or of the one in the folder."""
    corpus = load_corpus(corpus_name)
    if (folder / "last").exists():
        return Trainer.resume(folder, split_text(corpus.text, load(folder / "last").tokenizer))
    tokenizer = learn(corpus.text)
    settings = training_preset(preset_name)
    torch.manual_seed(settings.seed)
    note = {"preset": preset_name, "corpus": {"name": corpus.name, "sha256": corpus.sha256}}
    data = split_text(corpus.text, tokenizer)
    return Trainer(GPT(model_preset(preset_name)), data, settings, tokenizer=tokenizer, folder=folder, metadata=note)
