"""The play, the held-out text and the model of `memorization.py`, and how a model is measured on them."""

import torch
from torch import Tensor

from minigpt import (
    GPT,
    BPETokenizer,
    count_parameters,
    evaluate,
    load_corpus,
    model_preset,
    split_text,
    training_preset,
)
from minigpt.data.plays import each_play
from minigpt.evaluation.memorization import (
    copied_mask,
    evenly_spaced_windows,
    extraction_rate,
    greedy_continuation,
    loss_per_position,
    matching_statistics,
    memorized_loss_floor,
)
from minigpt.notebook.tokens import copied_spans

PLAY = ("A Midsummer Night's Dream", 0)  # its title, and its place among the plays
BLOCK_SIZE = 128
PROMPT_TOKENS, WRITTEN_TOKENS, WRITTEN_TEXTS, AT_LEAST = 16, 64, 16, 8


class Materials:
    """The play, the held-out text and the vocabulary; `small` takes a little of each, for a trial in seconds."""

    def __init__(self, small: bool = False) -> None:
        self.corpus = load_corpus("shakespeare-plays")
        config = model_preset("plays-bpe", block_size=BLOCK_SIZE, dropout=0.0)
        self.config = config.replace(vocab_size=300, n_layer=1, n_embd=32, block_size=16) if small else config
        text = self.corpus.text[:50_000] if small else self.corpus.text
        training_part = text[: len(text) * 9 // 10]
        self.tokenizer = BPETokenizer.train(training_part, self.config.vocab_size, fast=True)
        whole = split_text(text, self.tokenizer)
        self.training_part, self.held_out = whole.train, whole.validation
        play = self.tokenizer.encode(each_play()[PLAY[1]])
        self.play = torch.tensor(play[:400] if small else play)
        self.steps_per_pass = max(1, round(len(self.play) / (training_preset("gpt2").batch_size * BLOCK_SIZE)))

    def describe(self) -> dict:
        """Return what the record says about them."""
        return {
            "corpus": {"name": self.corpus.name, "sha256": self.corpus.sha256},
            "play": {"title": PLAY[0], "tokens": len(self.play), "characters": self.count_characters(self.play)},
            "held_out": {"tokens": len(self.held_out), "characters": self.count_characters(self.held_out)},
            "model": self.config.to_dict(),
            "parameters": count_parameters(GPT(self.config)),
            "floor": memorized_loss_floor(self.play, self.config.block_size),
            "measured": f"{WRITTEN_TEXTS} texts of {WRITTEN_TOKENS} tokens, drawn from all tokens after prompts of "
            f"{PROMPT_TOKENS} held-out ones; copied: in stretches of {AT_LEAST} or more that stand in the play",
        }

    def count_characters(self, ids: Tensor) -> int:
        """Return how many characters a text has."""
        return len(self.tokenizer.decode(ids.tolist()))


def measure(model: GPT, materials: Materials, source: Tensor) -> dict:
    """Return the losses of a model by place, and how much of what it writes stands in the source."""
    windows = materials.config.block_size
    places = {
        "play": loss_per_position(model, materials.play, windows),
        "held_out": loss_per_position(model, materials.held_out, windows),
    }
    return {
        "loss": {name: round(by_place.mean().item(), 4) for name, by_place in places.items()},
        "by_place": {name: [round(loss, 3) for loss in by_place.tolist()] for name, by_place in places.items()},
        "recited": extraction_rate(model, materials.play, PROMPT_TOKENS, 32, places=64),
        **write_after(model, materials, materials.held_out, source),
    }


def write_after(model: GPT, materials: Materials, text: Tensor, source: Tensor) -> dict:
    """Return what a model writes after prompts from a text, and how much of it stands in the source."""
    tokenizer = materials.tokenizer
    prompts = evenly_spaced_windows(text, PROMPT_TOKENS, WRITTEN_TEXTS)
    written = greedy_continuation(model, prompts, WRITTEN_TOKENS, torch.Generator().manual_seed(1))
    return {
        "overlap": shared(written, source),
        "samples": [
            {"prompt": tokenizer.decode(prompt), "pieces": copied_spans(tokenizer, ids, source)}
            for prompt, ids in zip(prompts.tolist()[:4], written.tolist()[:4], strict=True)
        ],
    }


def shared(texts: Tensor, source: Tensor) -> dict:
    """Return the longest stretch that each of some texts shares with a source, and the share copied of all of them."""
    copied = [copied_mask(text, source, AT_LEAST) for text in texts]
    longest = [max(matching_statistics(text, source)) for text in texts]
    return {"longest": longest, "share": sum(map(sum, copied)) / sum(map(len, copied))}


def on_all_held_out(model: GPT, materials: Materials) -> dict:
    """Return the loss over the whole held-out text, in windows of this run's size."""
    found = evaluate(model, materials.held_out, materials.config.block_size, tokenizer=materials.tokenizer)
    return {"loss": found.loss, "bits_per_character": found.bits_per_character, "tokens": found.n_tokens}
