"""Learn the vocabulary of 32,000 tokens that the book ships, from the training part of the foundation corpus.

python -m experiments.shipped.vocabulary
"""

import argparse
from pathlib import Path

from experiments.common import ROOT
from minigpt.data.foundation import HELD_OUT, ensure_built, read_built_voices
from minigpt.tokenizer.bpe import BPETokenizer

CHECKPOINT = ROOT / "checkpoints" / "gpt2-small"


def main() -> None:
    """Learn and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--out", type=Path, default=CHECKPOINT / "tokenizer.json")
    arguments = parser.parse_args()
    voices = read_built_voices(ensure_built())
    text = "".join(voice[: len(voice) - len(voice) // HELD_OUT] for voice in voices.values())
    tokenizer = BPETokenizer.train(text, arguments.vocab_size, fast=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(arguments.out)
    print(f"{tokenizer} from {len(text):,} characters, into {arguments.out}")


if __name__ == "__main__":
    main()
