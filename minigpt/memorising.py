"""What it means that a model knows a text by heart: the lowest loss there can be, and what it recites.

Shapes: N tokens of the text, B places, T time.
"""

import math
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.config import require
from minigpt.data import require_window
from minigpt.model import GPT
from minigpt.overlap import as_string


def entropy(things: Iterable) -> float:
    """Return the entropy in nats of drawing one of these things at random."""
    counts = Counter(things)
    total = sum(counts.values())
    return math.log(total) - sum(count * math.log(count) for count in counts.values()) / total


def memory_floor(ids: Tensor, block_size: int) -> float:
    """Return the lowest mean loss in nats per token that any model can have on random windows of a text.

    ids: (N,). Even a model that knows the text by heart has to find out where in it the window begins; what the
    first token does not say of that is paid for in the next ones. It takes memory for N windows.

    Raises:
        UserError: the text has fewer than `block_size` + 1 tokens.
    """
    require_window("text", ids, block_size)
    text = as_string(ids)
    starts = range(len(text) - block_size)  # where random_batch begins
    windows = entropy(text[start : start + block_size + 1] for start in starts)
    return (windows - entropy(text[start] for start in starts)) / block_size


@torch.inference_mode()
def loss_by_place(model: GPT, ids: Tensor, block_size: int, n_windows: int = 256) -> Tensor:
    """Return the mean loss at each place of windows that are spread evenly over a text: (N,) -> (T,).

    Raises:
        UserError: the text is shorter than a window.
    """
    was_training = model.training
    model.eval()
    losses = []
    for windows in stretches(ids, block_size + 1, n_windows).split(32):  # (B, T + 1)
        logits = model(windows[:, :-1])  # (B, T, V)
        losses.append(F.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none"))  # (B, T)
    model.train(was_training)
    return torch.cat(losses).mean(0)


@torch.inference_mode()
def go_on(model: GPT, prompts: Tensor, n_tokens: int, generator: torch.Generator | None = None) -> Tensor:
    """Return how a model continues several prompts of one length: (B, T) -> (B, n_tokens).

    It takes the likeliest token at each step or, with a generator, draws one from all.
    """
    was_training = model.training
    model.eval()
    seen = prompts
    for _ in range(n_tokens):
        logits = model(seen[:, -model.config.block_size :])[:, -1]  # (B, V)
        likeliest = logits.argmax(-1, keepdim=True)  # (B, 1)
        chosen = likeliest if generator is None else logits.softmax(-1).multinomial(1, generator=generator)
        seen = torch.cat((seen, chosen), dim=1)
    model.train(was_training)
    return seen[:, prompts.size(1) :]


def stretches(ids: Tensor, length: int, places: int) -> Tensor:
    """Return stretches of a text that are spread evenly over it: (N,) -> (places, length).

    Raises:
        UserError: the text is shorter than one of them.
    """
    require(len(ids) >= length, f"The text has {len(ids)} tokens, too few for {length}; ask for fewer.")
    starts = torch.linspace(0, len(ids) - length, places).long()  # (B,)
    return ids[starts[:, None] + torch.arange(length)]


def recited_share(model: GPT, ids: Tensor, prompt_tokens: int, n_tokens: int, places: int = 32) -> float:
    """Return from how many places of a text the model, given `prompt_tokens`, goes on word for word: 0 to 1.

    ids: (N,). All `n_tokens` have to be right, the likeliest being taken at each step (Carlini et al., 2023).

    Raises:
        UserError: the text is too short.
    """
    cut = stretches(ids, prompt_tokens + n_tokens, places)
    prompts, following = cut.split([prompt_tokens, n_tokens], dim=1)
    return (go_on(model, prompts, n_tokens) == following).all(dim=1).float().mean().item()
