"""A step of training: forward, loss, backward, clipping and AdamW, beside GPT2LMHeadModel with the same weights."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.peers.record import Row
from benchmarks.peers.sameness import near
from benchmarks.peers.turns import interleaved
from benchmarks.peers.twins import random_ids, twins
from minigpt import GPT, cross_entropy, model_preset
from minigpt.training.optim import param_groups
from minigpt.training.precision import compile_model

NAME = "training"
SHAPES = {  # name: preset, windows, tokens in each, rounds
    "3.3M": ("medium-char", 4, 256, 15),
    "10.8M": ("tiny-384", 2, 256, 15),
    "124M": ("gpt2", 1, 256, 7),
}
AIM, TOLERANCE = 1.15, 2e-4
LEARNING_RATE, CLIP = 1e-4, 1.0
Step = Callable[[], Tensor]


def make_step(model: nn.Module, logits: Callable[[Tensor], Tensor], ids: Tensor) -> Step:
    """Return a call that trains a model by one step on ids (B, T + 1), and returns the loss."""
    optimizer = torch.optim.AdamW(param_groups(model.parameters(), 0.1), lr=LEARNING_RATE, fused=True)

    def step() -> Tensor:
        loss = cross_entropy(logits(ids[:, :-1]), ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def compare(work: str, ours: GPT, peer: nn.Module, ids: Tensor, rounds: int, compile: bool) -> Row:
    """Return the row of one shape: the losses of two steps are compared, then steps are timed."""
    here, there = (compile_model(ours), compile_model(peer)) if compile else (ours, peer)
    steps = make_step(ours, here, ids), make_step(peer, lambda ids: there(ids, use_cache=False).logits, ids)
    losses = [torch.stack([step(), step()]) for step in steps]
    same = near("losses of two steps", *losses, TOLERANCE)
    details = {"batch_size": len(ids), "length": ids.size(1) - 1, "compiled": compile}
    how = "compiled" if compile else "eager"
    names = {"work": f"{work}, {how}", "ours": "minigpt", "peer": "transformers"}
    return Row(**names, same=same, times=interleaved(*steps, rounds), aim=AIM, details=details)


def rows(quick: bool) -> Iterator[Row]:
    """Yield a row for each shape; quick: fewer rounds."""
    for shape in SHAPES:
        yield shape_row(shape, quick, compile=False)


def shape_row(shape: str, quick: bool, compile: bool) -> Row:
    """Return the row of one shape."""
    name, batch_size, length, rounds = SHAPES[shape]
    config = model_preset(name).replace(dropout=0.0, lm_head_bias=False)
    ids = random_ids(config, batch_size, length + 1)
    return compare(f"a training step, {shape}", *twins(config), ids, 2 if quick else rounds, compile)
