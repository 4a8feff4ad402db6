"""The optimizer's parameter groups and the learning-rate schedule."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from minigpt.config import TrainConfig
from minigpt.training.muon import Muon


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name."""
    return {"adamw": make_adamw, "muon": make_muon}[config.optimizer](model, config)


def make_adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter, 2019) that decays matrices, but not biases, norms and other vectors."""
    groups = param_groups(model.parameters(), config.weight_decay)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def make_muon(model: nn.Module, config: TrainConfig) -> Muon:
    """Return Muon for the matrices of the blocks, and AdamW for embeddings, head, and all vectors."""
    linear = [layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and name != "lm_head"]
    matrices = [layer.weight for layer in linear if layer.weight.requires_grad]
    chosen = {id(matrix) for matrix in matrices}
    others = param_groups((p for p in model.parameters() if id(p) not in chosen), config.weight_decay)
    betas = (config.beta1, config.beta2)
    return Muon(matrices, others, config.learning_rate, betas=betas, weight_decay=config.weight_decay)


def param_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return the trainable parameters in two groups: matrices, which decay, and vectors, which do not."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step, counted from 0: a linear rise, a stable part if there is one, and a decay.

    The decay is half a cosine (Loshchilov and Hutter, 2017, without restarts) or a straight line, down to the minimum.
    With `decay_steps` it begins that many steps before the end (Hu et al., 2024); without, right after the rise.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    whole = max(1, config.max_steps - config.warmup_steps)
    decay_steps = whole if config.decay_steps is None else min(config.decay_steps, whole)
    progress = min(1.0, max(0.0, (step - (config.max_steps - decay_steps)) / decay_steps))
    left = 1 - progress if config.lr_schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return config.min_learning_rate + left * (config.learning_rate - config.min_learning_rate)
