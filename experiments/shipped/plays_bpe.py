"""Train the preset `plays-bpe` on the plays, with a vocabulary learnt from their training part: an hour on one core.

    python -m experiments.shipped.plays_bpe --out runs/plays-bpe

Started again after an interruption, it goes on with the run.
"""

import argparse
from pathlib import Path

from experiments.shipped.preset_run import begin_preset
from minigpt import BPETokenizer, model_preset
from minigpt.training.progress import progress_bar

PRESET = "plays-bpe"


def learn(text: str) -> BPETokenizer:
    """Return the vocabulary of the training part."""
    return BPETokenizer.train(text[: len(text) * 9 // 10], model_preset(PRESET).vocab_size)


def main() -> None:
    """Learn the vocabulary, then train, or go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    trainer = begin_preset(parser.parse_args().out, PRESET, "shakespeare-plays", learn)
    for _ in progress_bar(trainer.run(), trainer.config.max_steps, start=trainer.step):
        pass


if __name__ == "__main__":
    main()
