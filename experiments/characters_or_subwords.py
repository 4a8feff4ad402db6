"""One small model, trained on characters and on subwords for the same number of tokens; the record goes to results/.

python -m experiments.characters_or_subwords

The vocabularies are learnt from the training part. All are compared in bits per character of the validation part.
"""

import argparse
import json
from pathlib import Path

import torch

from minigpt import GPT, BPETokenizer, CharTokenizer, GPTConfig, Split, TrainConfig, Trainer, count_parameters, evaluate
from minigpt.data.corpora import load_corpus
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "characters-or-subwords.json"
SIZES = {"block_size": 64, "n_layer": 2, "n_head": 4, "n_embd": 96}
SETTINGS = {"batch_size": 16, "learning_rate": 2e-3, "min_learning_rate": 2e-4, "warmup_steps": 50}


def main() -> None:
    """Train one model for each vocabulary, and write the record after each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="tinyshakespeare")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    corpus = load_corpus(arguments.corpus)
    border = len(corpus.text) * 9 // 10
    training, held_out = corpus.text[:border], corpus.text[border:]
    config = TrainConfig(max_steps=arguments.steps, eval_every=max(1, arguments.steps // 12), **SETTINGS)
    record = {
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "machine": environment_info(),
        "model": SIZES,
        "training": config.to_dict(),
        "runs": {},
    }
    tokenizers = {"characters": CharTokenizer.from_text(corpus.text)}
    tokenizers |= {f"{size:,} subwords": BPETokenizer.train(training, size) for size in arguments.vocabularies}
    for name, tokenizer in tokenizers.items():
        ids = [torch.tensor(tokenizer.encode(part)) for part in (training, held_out)]
        torch.manual_seed(config.seed)
        model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **SIZES))
        per_token = len(held_out) / len(ids[1])
        curve, seconds = [], 0.0
        for one in Trainer(model, Split(*ids), config, device="cpu").run():
            seconds = one.seconds
            if one.validation_loss is not None:
                bits = one.validation_loss / torch.log(torch.tensor(2.0)).item() / per_token
                curve.append([one.step, round(one.validation_loss, 4), round(bits, 4)])
        found = evaluate(model, ids[1], SIZES["block_size"], tokenizer=tokenizer, max_windows=400)
        record["runs"][name] = {
            "vocab_size": tokenizer.vocab_size,
            "parameters": count_parameters(model),
            "characters_per_token": round(per_token, 3),
            "nats_per_token": round(found.loss, 4),
            "bits_per_character": round(found.bits_per_character, 4),
            "seconds": round(seconds, 1),
            "curve": curve,
        }
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(name, record["runs"][name] | {"curve": "…"}, flush=True)


if __name__ == "__main__":
    main()
