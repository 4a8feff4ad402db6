"""The run of a shipped model: begun with its preset, or gone on with where its folder holds one already."""

from collections.abc import Callable
from pathlib import Path

from experiments.training import begin
from minigpt import Trainer, load_corpus, model_preset, split_text, training_preset
from minigpt.checkpoint.save_load import load
from minigpt.tokenizer.base import Tokenizer


def begin_preset(folder: Path, preset_name: str, corpus_name: str, learn: Callable[[str], Tokenizer]) -> Trainer:
    """Return the trainer of a new run, whose tokenizer is learnt from the text, or of the one in the folder."""
    corpus = load_corpus(corpus_name)
    tokenizer = load(folder / "last").tokenizer if (folder / "log.jsonl").exists() else learn(corpus.text)
    return begin(
        folder,
        model_preset(preset_name),
        training_preset(preset_name),
        split_text(corpus.text, tokenizer),
        tokenizer,
        device=None,
        metadata={"preset": preset_name, "corpus": {"name": corpus.name, "sha256": corpus.sha256}},
    )
