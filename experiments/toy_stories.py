"""How large must a model be to tell a little story without mixing its people up? The record goes to results/.

python -m experiments.toy_stories

Models of several depths and widths read the same stories for the same number of steps. On the way it is measured what
a held-out story costs them, in nats; at the end, how many of the stories they write are well formed, and coherent.
Runs that the record holds already are not taken again.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from minigpt import GPT, BPETokenizer, GPTConfig, Split, TrainConfig, Trainer, count_parameters, cross_entropy
from minigpt.data.toy_stories import classify_story, sample_story, story_entropy
from minigpt.evaluation.memorization import greedy_continuation
from minigpt.tokenizer.bpe import END_OF_TEXT
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "toy-stories.json"
SIZES = ((1, 32), (2, 32), (1, 64), (2, 64))  # blocks and channels
STORIES, HELD_OUT, VOCABULARY, BLOCK_SIZE = 4000, 128, 400, 64


def make_stories(n_train: int, n_held_out: int) -> tuple[list[str], list[str]]:
    """Return stories to train on, and others that are not among them."""
    random = Random(0)
    train = [sample_story(random) for _ in range(n_train)]
    held_out, known = [], set(train)
    while len(held_out) < n_held_out:
        story = sample_story(random)
        if story not in known:
            held_out.append(story)
    return train, held_out


@torch.inference_mode()
def nats_per_story(model: GPT, stories: list[Tensor]) -> float:
    """Return what a story costs a model that has seen nothing but the separator before it."""
    losses = [cross_entropy(model(ids[None, :-1]), ids[None, 1:]).item() * (len(ids) - 1) for ids in stories]
    return sum(losses) / len(losses)


def written(model: GPT, tokenizer: BPETokenizer, separator: int, n_stories: int = 200) -> list[str]:
    """Return stories that a model tells."""
    starts = torch.full((n_stories, 1), separator)
    ids = greedy_continuation(model, starts, model.config.block_size - 1, torch.Generator().manual_seed(1))
    return [tokenizer.decode(row).split(END_OF_TEXT)[0] for row in ids.tolist()]


def main() -> None:
    """Train every size that is missing, and write the record anew after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1337, 1, 2])
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    train, held_out = make_stories(STORIES, HELD_OUT)
    text = END_OF_TEXT.join(train) + END_OF_TEXT
    tokenizer = BPETokenizer.train(text, VOCABULARY)
    separator = tokenizer.special_tokens[END_OF_TEXT]
    ids = torch.tensor(tokenizer.encode(text, allow_special=True))
    told = [torch.tensor([separator, *tokenizer.encode(story)]) for story in held_out]
    settings = TrainConfig(
        max_steps=arguments.steps,
        batch_size=16,
        learning_rate=2e-3,
        min_learning_rate=2e-4,
        warmup_steps=50,
        eval_every=arguments.steps,
    )
    record = {
        "machine": environment_info(),
        "training": settings.to_dict() | {"seed": "see each run"},
        "stories": {"train": STORIES, "held_out": HELD_OUT, "tokens": len(ids), "vocab_size": tokenizer.vocab_size},
        "nats": {"remembers": story_entropy(), "forgets": story_entropy(remembers=False)},
        "runs": json.loads(arguments.out.read_text("utf-8"))["runs"] if arguments.out.exists() else [],
    }
    done = [(run["n_layer"], run["n_embd"], run["seed"]) for run in record["runs"]]
    asked = [(*size, seed) for seed in arguments.seeds for size in SIZES]
    for n_layer, n_embd, seed in [each for each in asked if each not in done]:
        sizes = {"n_layer": n_layer, "n_head": 4, "n_embd": n_embd}
        torch.manual_seed(seed)
        config = GPTConfig(vocab_size=tokenizer.vocab_size, block_size=BLOCK_SIZE, **sizes)
        trainer = Trainer(GPT(config), Split(ids, ids[:1000]), settings.replace(seed=seed), device="cpu")
        curve = [
            (step.step, round(nats_per_story(trainer.model, told), 3))
            for step in trainer.run()
            if step.step % max(1, arguments.steps // 30) == 0
        ]
        stories = written(trainer.model, tokenizer, separator)
        run = {
            **sizes,
            "seed": seed,
            "parameters": count_parameters(trainer.model),
            "curve": curve,
            "judged": Counter(map(classify_story, stories)),
            "new": sum(story not in train for story in stories if classify_story(story) == "coherent"),
            "stories": stories[:3],
            "seconds": round(trainer.seconds),
        }
        record["runs"].append(run)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(seed, sizes, curve[-1], run["judged"], run["new"], f"{run['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
