"""What several tests compare with."""

import torch

from minigpt.generation.generate import generate_ids


def identical(first: object, second: object) -> bool:
    """Compare nested values, tensors to the bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(identical(first[name], second[name]) for name in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(identical, first, second))
    return first == second


def one_text(model, ids: list[int], sampler, max_new_tokens: int, generator=None) -> list[int]:
    """Return the ids that a model generates after those of a single text."""
    return [step.item() for step in generate_ids(model, torch.tensor([ids]), sampler, max_new_tokens, generator)]
