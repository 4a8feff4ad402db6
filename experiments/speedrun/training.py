"""How a recipe is trained: its optimizers, its schedule, and a clock that stands still while the model is evaluated."""

import math
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Any, Self

import torch
from torch import nn

from experiments.speedrun.model import NGramEmbedding, build
from experiments.speedrun.recipe import Recipe
from minigpt import GPT, Muon, Split, TrainConfig, count_parameters, cross_entropy, evaluate, get_batch
from minigpt.training.optim import make_adamw
from minigpt.training.precision import compile_model

CURVE_POINTS = 12
CURVE_WINDOWS = 128  # of the validation part, spread evenly


@dataclass
class Clock:
    """Seconds spent inside its `with` blocks, and nowhere else."""

    seconds: float = 0.0
    started: float = field(default=0.0, repr=False)

    def __enter__(self) -> Self:
        self.started = perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds += perf_counter() - self.started


def make_optimizers(model: GPT, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return AdamW or Muon for the model, and SparseAdam for the n-grams, if it has any."""
    betas = (0.9, recipe.beta2)
    ngrams = (
        list(model.token_embedding.tables.parameters()) if isinstance(model.token_embedding, NGramEmbedding) else []
    )
    sparse = [torch.optim.SparseAdam(ngrams, lr=recipe.ngram_rate, betas=betas)] if ngrams else []
    settings = {"learning_rate": recipe.learning_rate, "weight_decay": recipe.weight_decay, "beta2": recipe.beta2}
    for table in ngrams:
        table.requires_grad_(False)  # the other optimizer leaves them alone
    if recipe.optimizer == "muon":
        matrices = [each.weight for each in model.blocks.modules() if isinstance(each, nn.Linear)]
        taken = {id(matrix) for matrix in matrices}
        others = [each for each in model.parameters() if each.requires_grad and id(each) not in taken]
        groups = [{"params": others, "lr": recipe.other_rate, "weight_decay": 0.0}]
        dense = Muon(matrices, groups, recipe.learning_rate, betas=betas, weight_decay=recipe.weight_decay)
    else:
        dense = make_adamw(model, TrainConfig(**settings, min_learning_rate=0.0))
    for table in ngrams:
        table.requires_grad_(True)
    for optimizer in (dense, *sparse):
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
    return [dense, *sparse]


def share_of_rate(progress: float, recipe: Recipe) -> float:
    """Return what share of the full learning rate is in force after that share of the run."""
    if progress < recipe.warmup:
        return progress / recipe.warmup
    done = (progress - recipe.warmup) / (1 - recipe.warmup)
    falling = 1 - done if recipe.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return recipe.last_rate + (1 - recipe.last_rate) * falling


def train(recipe: Recipe, data: Split, vocab_size: int, seed: int, seconds: float = math.inf) -> dict[str, Any]:
    """Train a recipe from its seed; return its time, its loss over the whole validation part, and its curve.

    The clock runs from before the model is built until after the last step, but not during evaluations. A recipe
    without a number of steps ends when another step, at the mean pace so far, would take it beyond `seconds`.
    """
    clock = Clock()
    with clock:
        model = build(recipe, vocab_size, seed)
        network = compile_model(model) if recipe.compile else model
        optimizers = make_optimizers(model, recipe)
        generator = torch.Generator().manual_seed(seed)
    curve: list[tuple[float, float]] = []
    for step in count():
        progress = step / recipe.steps if recipe.steps else clock.seconds / seconds
        over = progress >= 1 if recipe.steps else clock.seconds * (step + 1) > seconds * max(1, step)
        if over or progress >= len(curve) / CURVE_POINTS:
            found = evaluate(model, data.validation, model.config.block_size, max_windows=CURVE_WINDOWS)
            curve.append((round(clock.seconds, 3), round(found.loss, 4)))
        if over:
            break
        with clock:
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["full_rate"] * share_of_rate(progress, recipe)
            inputs, targets = get_batch(data.train, recipe.batch_size, model.config.block_size, generator)
            cross_entropy(network(inputs), targets).backward()
            if recipe.grad_clip:
                dense = [each for each in model.parameters() if not each.grad.is_sparse]
                nn.utils.clip_grad_norm_(dense, recipe.grad_clip, foreach=True)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    loss = evaluate(model, data.validation, model.config.block_size).loss
    return {
        "seconds": round(clock.seconds, 3),
        "loss": round(loss, 4),
        "steps": step,
        "parameters": count_parameters(model),
        "curve": curve,
    }
