"""How large must a model be to tell a little story without mixing its people up? The record goes to results/.

python -m experiments.toy_stories

Models of several depths and widths read the same stories for the same number of steps. On the way it is measured what
a held-out story costs them, in nats; at the end, how many of the stories they write are well formed, and coherent.
"""

from collections import Counter
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.common import Experiment, Result, Settings, main
from experiments.training import TINY_TRAINING, begin, often_saved, watch
from minigpt import GPT, BPETokenizer, GPTConfig, Split, TrainConfig, count_parameters, cross_entropy
from minigpt.data.toy_stories import classify_story, sample_story, story_entropy
from minigpt.evaluation.memorization import greedy_continuation
from minigpt.tokenizer.bpe import END_OF_TEXT

SIZES = ((1, 32), (2, 32), (1, 64), (2, 64))  # blocks and channels
STORIES, HELD_OUT, VOCABULARY, BLOCK_SIZE = 4000, 128, 400, 64


class Stories(NamedTuple):
    """Stories to train on, their tokens, and the tokens of others, each with the separator before it."""

    train: list[str]
    ids: Tensor
    held_out: list[Tensor]
    tokenizer: BPETokenizer


@cache
def read_stories(tiny: bool) -> Stories:
    """Return the stories, of which a miniature has a few."""
    train, held_out = make_stories(*(100, 4) if tiny else (STORIES, HELD_OUT))
    text = END_OF_TEXT.join(train) + END_OF_TEXT
    tokenizer = BPETokenizer.train(text, VOCABULARY)
    ids = torch.tensor(tokenizer.encode(text, allow_special=True))
    separator = tokenizer.special_tokens[END_OF_TEXT]
    told = [torch.tensor([separator, *tokenizer.encode(story)]) for story in held_out]
    return Stories(train, ids, told, tokenizer)


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


def written(model: GPT, tokenizer: BPETokenizer, n_stories: int = 200) -> list[str]:
    """Return stories that a model tells."""
    starts = torch.full((n_stories, 1), tokenizer.special_tokens[END_OF_TEXT])
    ids = greedy_continuation(model, starts, model.config.block_size - 1, torch.Generator().manual_seed(1))
    return [tokenizer.decode(row).split(END_OF_TEXT)[0] for row in ids.tolist()]


def training_of(settings: Settings) -> TrainConfig:
    """Return how every model is trained."""
    usual = {"batch_size": 16, "warmup_steps": 50}
    return TrainConfig(
        max_steps=settings["steps"],
        learning_rate=2e-3,
        min_learning_rate=2e-4,
        eval_every=settings["steps"],
        seed=settings["seed"],
        **usual | (TINY_TRAINING if settings["tiny"] else {}),
    )


def run(settings: Settings, folder: Path) -> Result:
    """Train one size, and return what held-out stories cost it on the way, and what it tells at the end."""
    stories = read_stories(settings["tiny"])
    sizes = {"n_layer": settings["n_layer"], "n_head": 4, "n_embd": settings["n_embd"]}
    config = GPTConfig(vocab_size=stories.tokenizer.vocab_size, block_size=BLOCK_SIZE, **sizes)
    data = Split(stories.ids, stories.ids[:1000])
    trainer = begin(folder, config, often_saved(training_of(settings)), data, stories.tokenizer)
    every = max(1, settings["steps"] // 30)
    seen = watch(
        trainer,
        folder / "curve.jsonl",
        due=lambda step: step > 0 and step % every == 0,
        look=lambda trainer: {"nats": round(nats_per_story(trainer.model, stories.held_out), 3)},
    )
    told = written(trainer.model, stories.tokenizer, 20 if settings["tiny"] else 200)
    return {
        "n_head": config.n_head,
        "parameters": count_parameters(trainer.model),
        "curve": [(row["step"], row["nats"]) for row in seen],
        "judged": Counter(map(classify_story, told)),
        "new": sum(story not in stories.train for story in told if classify_story(story) == "coherent"),
        "stories": told[:3],
        "seconds": round(trainer.seconds),
    }


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    stories = read_stories(settings["tiny"])
    return {
        "training": training_of(settings | {"seed": 0}).to_dict() | {"seed": "see each run"},
        "stories": {
            "train": len(stories.train),
            "held_out": len(stories.held_out),
            "tokens": len(stories.ids),
            "vocab_size": stories.tokenizer.vocab_size,
        },
        "nats": {"remembers": story_entropy(), "forgets": story_entropy(remembers=False)},
    }


EXPERIMENT = Experiment(
    record="toy-stories.json",
    varied=[{"n_layer": n_layer, "n_embd": n_embd} for n_layer, n_embd in SIZES],
    seeds=(1337, 1, 2),
    flags={"steps": 2000},
    tiny={"steps": 10},
    run=run,
    about=about,
    place=("runs",),
    metrics={"nats": lambda run: run["curve"][-1][1], "coherent": lambda run: run["judged"].get("coherent", 0)},
    baseline={"n_layer": 1, "n_embd": 32},
)

if __name__ == "__main__":
    main(EXPERIMENT)
