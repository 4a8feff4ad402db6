"""How much of a text a model has memorized: copied spans, the loss floor of memorized text, greedy continuations.

A text is a string, or the ids of its tokens; lengths are counted in characters or tokens accordingly.
Shapes: N tokens of the text, B windows, T time.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.data.batches import check_window
from minigpt.model.gpt import GPT
from minigpt.utils.errors import UserError
from minigpt.utils.ids import as_ids
from minigpt.utils.modes import evaluation_mode

Text: TypeAlias = str | Sequence[int] | Tensor


class Overlap(NamedTuple):
    """The longest stretch that both texts hold, and the share of the first that lies in stretches of some length."""

    longest: int
    share: float


def overlap(sample: Text, source: Text, at_least: int = 8) -> Overlap:
    """Return how much of a sample stands word for word in a source, in stretches of `at_least` or more.

    Raises:
        UserError: the sample is empty, or `at_least` is not positive.
    """
    if len(sample) <= 0:
        raise UserError("The sample is empty, so that no share of it can be named; give it at least one token.")
    copied = copied_mask(sample, source, at_least)
    return Overlap(max(matching_statistics(sample, source)), sum(copied) / len(copied))


def copied_mask(sample: Text, source: Text, at_least: int = 8) -> list[bool]:
    """Return for each place of a sample whether it lies in a stretch of `at_least` or more that the source holds."""
    if at_least <= 0:
        raise UserError(f"at_least = {at_least} must be at least 1.")
    copied = [False] * len(sample)
    for start, length in enumerate(matching_statistics(sample, source)):
        if length >= at_least:
            copied[start : start + length] = [True] * length
    return copied


def matching_statistics(sample: Text, source: Text) -> list[int]:
    """Return for each place of a sample how long the longest stretch is that begins there and stands in the source.

    These are the matching statistics of Chang and Lawler (1994), by plain search. A stretch that begins one place
    later ends no earlier, so that there are at most two searches for each place.
    """
    sample, source = _as_string(sample), _as_string(source)
    lengths, end = [], 0
    for start in range(len(sample)):
        end = max(end, start)
        while end < len(sample) and sample[start : end + 1] in source:
            end += 1
        lengths.append(end - start)
    return lengths


def _as_string(text: Text) -> str:
    """Write ids as the characters of those numbers, since nothing finds a stretch faster than a search in strings."""
    if isinstance(text, str):
        return text
    ids: Iterable[int] = text.tolist() if isinstance(text, torch.Tensor) else text
    return "".join(map(chr, ids))


def entropy(things: Iterable) -> float:
    """Return the entropy in nats of drawing one of these things at random."""
    counts = Counter(things)
    total = sum(counts.values())
    return math.log(total) - sum(count * math.log(count) for count in counts.values()) / total


def memorized_loss_floor(ids: Tensor, block_size: int) -> float:
    """Return the lowest mean loss in nats per token that any model can have on random windows of a text.

    ids: (N,). Even a model that knows the text by heart has to find out where in it the window begins; what the
    first token does not say of that is paid for in the next ones. It takes memory for N windows.

    Raises:
        UserError: the text has fewer than `block_size` + 1 tokens.
    """
    check_window("text", ids, block_size)
    text = _as_string(ids)
    starts = range(len(text) - block_size)  # where get_batch begins
    windows = entropy(text[start : start + block_size + 1] for start in starts)
    return (windows - entropy(text[start] for start in starts)) / block_size


@torch.inference_mode()
def loss_per_position(model: GPT, ids: Tensor, block_size: int, n_windows: int = 256) -> Tensor:
    """Return the mean loss at each place of windows that are spread evenly over a text: (N,) -> (T,).

    Raises:
        UserError: the text is shorter than a window.
    """
    losses = []
    with evaluation_mode(model):
        for windows in evenly_spaced_windows(ids, block_size + 1, n_windows).split(32):  # (B, T + 1)
            logits = model(windows[:, :-1])  # (B, T, V)
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            losses.append(F.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none"))  # (B, T)
    return torch.cat(losses).mean(0)


@torch.inference_mode()
def greedy_continuation(model: GPT, prompts: Tensor, n_tokens: int, generator: torch.Generator | None = None) -> Tensor:
    """Return how a model continues several prompts of one length: (B, T) -> (B, n_tokens).

    It takes the likeliest token at each step or, with a generator, draws one from all.
    """
    seen = prompts
    with evaluation_mode(model):
        for _ in range(n_tokens):
            logits = model(seen[:, -model.config.block_size :])[:, -1]  # (B, V)
            likeliest = logits.argmax(-1, keepdim=True)  # (B, 1)
            chosen = likeliest if generator is None else logits.softmax(-1).multinomial(1, generator=generator)
            seen = torch.cat((seen, chosen), dim=1)
    return seen[:, prompts.size(1) :]


def evenly_spaced_windows(ids: Tensor, length: int, places: int) -> Tensor:
    """Return stretches of a text that are spread evenly over it: (N,) -> (places, length).

    Raises:
        UserError: the text is shorter than one of them.
    """
    ids = as_ids(ids)
    if len(ids) < length:
        raise UserError(f"The text has {len(ids)} tokens, too few for {length}; ask for fewer.")
    starts = torch.linspace(0, len(ids) - length, places).long()  # (B,)
    return ids[starts[:, None] + torch.arange(length)]


def extraction_rate(model: GPT, ids: Tensor, prompt_tokens: int, n_tokens: int, places: int = 32) -> float:
    """Return from how many places of a text the model, given `prompt_tokens`, goes on word for word: 0 to 1.

    ids: (N,). All `n_tokens` have to be right, the likeliest being taken at each step (Carlini et al., 2023).

    Raises:
        UserError: the text is too short.
    """
    cut = evenly_spaced_windows(ids, prompt_tokens + n_tokens, places)
    prompts, following = cut.split([prompt_tokens, n_tokens], dim=1)
    return (greedy_continuation(model, prompts, n_tokens) == following).all(dim=1).float().mean().item()
