"""Train the preset `plays-bpe` on the plays, with a vocabulary learnt from their training part: an hour on one core.

python tools/train_plays_bpe.py --out runs/plays-bpe

Started again after an interruption, it goes on with the run.
"""

import argparse
from pathlib import Path

import torch

from minigpt import GPT, BPETokenizer, Trainer, load_corpus, preset, split_text, training_preset
from minigpt.checkpoint import load
from minigpt.training.monitor import progress_bar

PRESET = "plays-bpe"


def main() -> None:
    """Learn the vocabulary, then train, or go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    corpus = load_corpus("shakespeare-plays")
    if (folder / "last").exists():
        trainer = Trainer.resume(folder, split_text(corpus.text, load(folder / "last").tokenizer))
    else:
        config = preset(PRESET)
        training_part = corpus.text[: len(corpus.text) * 9 // 10]
        tokenizer = BPETokenizer.train(training_part, config.vocab_size)
        settings = training_preset(PRESET)
        torch.manual_seed(settings.seed)
        note = {"preset": PRESET, "corpus": {"name": corpus.name, "sha256": corpus.sha256}}
        data = split_text(corpus.text, tokenizer)
        trainer = Trainer(GPT(config), data, settings, tokenizer=tokenizer, folder=folder, note=note)
    for _ in progress_bar(trainer.run(), trainer.config.max_steps, start=trainer.step):
        pass


if __name__ == "__main__":
    main()
