"""From logits to the next token: each function takes logits and returns logits, so that they chain.

A token that is ruled out gets the logit −∞. Shapes: B texts, N tokens so far, V vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minigpt.config import BaseConfig
from minigpt.utils.errors import UserError

MIN_TEMPERATURE = 1e-4  # dividing logits by less than this could overflow


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide the logits: below 1 sharpens the distribution, above 1 flattens it. (..., V) -> (..., V)"""
    return logits / temperature


def top_k_filter(logits: Tensor, k: int) -> Tensor:
    """Rule out all but the k most likely tokens (Fan et al., 2018). (..., V) -> (..., V)"""
    kept = logits.topk(min(k, logits.size(-1))).indices
    return torch.full_like(logits, -math.inf).scatter(-1, kept, logits.gather(-1, kept))


def top_p_filter(logits: Tensor, p: float) -> Tensor:
    """Nucleus sampling: keep the smallest set of likeliest tokens whose probabilities reach p (Holtzman et al., 2020).

    (..., V) -> (..., V). The likeliest token always stays, and with p = 1 every token does.
    """
    if p >= 1:
        return logits
    sorted_logits, order = logits.sort(descending=True)
    probabilities = sorted_logits.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # the mass of all likelier tokens
    ruled_out = (before >= p) & (before > 0)  # a p below what the format can hold would be 0 there
    sorted_logits = sorted_logits.masked_fill(ruled_out, -math.inf)
    return torch.empty_like(logits).scatter(-1, order, sorted_logits)


def min_p_filter(logits: Tensor, p: float) -> Tensor:
    """Rule out tokens less likely than p times the likeliest one (Nguyen et al., 2024). (..., V) -> (..., V)"""
    probabilities = logits.softmax(dim=-1)
    return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), -math.inf)


def apply_repetition_penalty(logits: Tensor, prev_ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that were already seen less likely (Keskar et al., 2019, with the sign rule of transformers).

    logits: (..., V); prev_ids: (..., N). Positive logits are divided by the penalty, negative ones multiplied.
    """
    chosen = logits.gather(-1, prev_ids)  # (..., N)
    return logits.scatter(-1, prev_ids, torch.where(chosen > 0, chosen / penalty, chosen * penalty))


@dataclass(frozen=True, kw_only=True)
class Sampler(BaseConfig):
    """The settings of a sampler; `temperature=0` is greedy, `None` leaves a filter out.

    Raises:
        UserError: a setting is of another type, or out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        self.check_types()
        if self.temperature != 0 and not MIN_TEMPERATURE <= self.temperature < math.inf:
            raise UserError(
                f"temperature = {self.temperature} must be at least {MIN_TEMPERATURE:g}, or 0 to always take "
                "the likeliest token."
            )
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top_k = {self.top_k} must be at least 1.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UserError(f"top_p = {self.top_p} must be above 0 and at most 1.")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise UserError(f"min_p = {self.min_p} must lie between 0 and 1.")
        penalty = self.repetition_penalty
        if not MIN_TEMPERATURE <= penalty < math.inf:
            raise UserError(f"repetition_penalty = {penalty} must be at least {MIN_TEMPERATURE:g}; 1 is none.")

    def process_logits(self, logits: Tensor, prev_ids: Tensor) -> Tensor:
        """Apply the settings in order: repetition penalty, temperature, top-k, top-p, min-p. (B, V) -> (B, V)

        prev_ids: (B, N), the tokens so far. A single text needs no B.
        """
        if self.repetition_penalty != 1.0:
            logits = apply_repetition_penalty(logits, prev_ids, float(self.repetition_penalty))
        if self.temperature == 0:
            return top_k_filter(logits, 1)
        logits = apply_temperature(logits, float(self.temperature))
        if self.top_k is not None:
            logits = top_k_filter(logits, self.top_k)
        if self.top_p is not None:
            logits = top_p_filter(logits, self.top_p)
        if self.min_p is not None:
            logits = min_p_filter(logits, self.min_p)
        return logits

    def sample(self, logits: Tensor, prev_ids: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the next token of every text: logits (B, V) after prev_ids (B, N) -> (B,). A single text needs no B.

        Raises:
            UserError: the logits are not numbers.
        """
        kept = self.process_logits(logits.float(), prev_ids)
        if not bool(kept.amax(dim=-1).isfinite().all()):
            raise UserError(
                "The model's logits are not numbers (NaN, infinite), so none is drawn; go back to an earlier "
                "checkpoint."
            )
        if self.temperature == 0:  # only one is left
            return kept.argmax(dim=-1)
        return torch.multinomial(kept.softmax(dim=-1), 1, generator=generator).squeeze(-1)
