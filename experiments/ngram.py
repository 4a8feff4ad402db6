"""Measure n-gram models of several orders on three corpora, with one discount and with three; goes to `results/`.

    python -m experiments.ngram

Each is counted on the training part and measured over the whole validation part without its first tokens, as many as
the order. The seconds are those of one core.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

from minigpt import CharTokenizer, Split, UserError, load_corpus, load_foundation, split_text
from minigpt.evaluation.ngram import DISCOUNT, NGram
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "ngram.json"
CORPORA = ("tinyshakespeare", "shakespeare-plays", "foundation")


def load_characters(corpus: str) -> tuple[Split, int]:
    """Return the ids of a corpus in characters, and the size of its vocabulary."""
    if corpus == "foundation":
        foundation = load_foundation()
        return foundation.split, foundation.tokenizer.vocab_size
    text = load_corpus(corpus).text
    tokenizer = CharTokenizer.from_text(text)
    return split_text(text, tokenizer), tokenizer.vocab_size


def measure(split: Split, vocab_size: int, orders: range) -> Iterator[dict]:
    """Yield the loss of each order with each discount in nats per character, with its size and its time."""
    for order in orders:
        for discount in (DISCOUNT, "modified"):
            start = time.process_time()
            model = NGram.fit(split.train, order, vocab_size, discount)
            fitted = time.process_time()
            loss = model.loss(split.validation)
            yield {
                "order": order,
                "discount": discount,
                "loss": round(loss, 5),
                "n_grams": sum(model.n_grams),
                "discounts": model.discounts[-1].round(4).tolist(),
                "fit_seconds": round(fitted - start, 2),
                "loss_seconds": round(time.process_time() - fitted, 2),
            }


def main() -> None:
    """Measure each corpus that is available, and write the record after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=CORPORA)
    parser.add_argument("--highest", type=int, default=10, help="the highest order")
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    record = {
        "note": "Kneser–Ney smoothing, losses in nats per character over the whole validation part without its first "
        "`order` characters; `n_grams` are those of all orders, `discounts` those of the highest",
        "machine": environment_info(),
        "corpora": {},
    }
    for corpus in arguments.corpora:
        try:
            split, vocab_size = load_characters(corpus)
        except UserError as error:
            print(f"{corpus} is left out: {error}")
            continue
        sizes = {"training": len(split.train), "validation": len(split.validation), "vocab_size": vocab_size}
        cases: list[dict] = []
        record["corpora"][corpus] = sizes | {"cases": cases}
        for case in measure(split, vocab_size, range(1, arguments.highest + 1)):
            cases.append(case)
            print(corpus, case, flush=True)
        arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
