"""What a visitor may ask for: every value that comes from a page is looked at before anything is done with it."""

import random
from dataclasses import dataclass
from typing import Any

from minigpt.generation.sampling import Sampler
from minigpt.tokenizer.pretokenize import check_unicode
from minigpt.utils.errors import UserError, error_prefix

LARGEST_SEED = 2**32 - 1  # a page's numbers are exact up to there, with room for a seed per sample


SHOWN = 40  # characters of a wrong value that a message repeats


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one request may ask for: characters of a prompt, tokens, samples, a temperature, seconds."""

    prompt: int = 2000
    max_new_tokens: int = 1000
    samples: int = 4
    temperature: float = 2.0
    seconds: float = 30.0


@dataclass(frozen=True)
class GenerationRequest:
    """A request within the limits."""

    prompt: str
    sampler: Sampler
    max_new_tokens: int
    samples: int
    seed: int

    @property
    def seeds(self) -> range:
        """The seed of each sample: the one asked for, and those that follow it."""
        return range(self.seed, self.seed + self.samples)


def read_request(
    limits: Limits,
    prompt: Any,
    temperature: Any = 0.8,
    top_k: Any = None,
    top_p: Any = 1.0,
    max_new_tokens: Any = 200,
    samples: Any = 1,
    seed: Any = None,
) -> GenerationRequest:
    """Return what a visitor asks for; without a seed, one is drawn, and a `top_k` of 0 is none.

    Raises:
        UserError: a value is of another kind than it should be, or beyond a limit.
    """
    kept = 0 if top_k is None else _parse_int("top_k", top_k, 0, None, "0 keeps every token")
    sampler = Sampler(
        temperature=_parse_float("temperature", temperature, 0, limits.temperature),
        top_k=kept or None,
        top_p=_parse_float("top_p", top_p, 0, 1),
    )
    return GenerationRequest(
        prompt=read_prompt(prompt, limits.prompt),
        sampler=sampler,
        max_new_tokens=_parse_int("max_new_tokens", max_new_tokens, 1, limits.max_new_tokens),
        samples=_parse_int("samples", samples, 1, limits.samples),
        seed=random.randrange(LARGEST_SEED) if seed is None else _parse_int("seed", seed, 0, LARGEST_SEED),
    )


def read_prompt(prompt: Any, longest: int) -> str:
    """Return a prompt that is a text, and not too long.

    Raises:
        UserError: it is something else, too long, or holds half of a surrogate pair.
    """
    if not isinstance(prompt, str):
        raise UserError("The prompt must be a text; write some characters for the model to continue.")
    if len(prompt) > longest:
        raise UserError(f"The prompt has {len(prompt):,} characters; shorten it to {longest:,} or fewer.")
    with error_prefix("The prompt"):
        check_unicode(prompt)
    return prompt


def _parse_float(name: str, value: Any, lowest: float, highest: float | None, hint: str = "") -> float:
    """Return a value that is a number between two bounds.

    Raises:
        UserError: it is not; `hint` is added to the remedy.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    within = is_number and lowest <= value and (highest is None or value <= highest)  # which NaN is not
    bounds = f"be at least {lowest}" if highest is None else f"lie between {lowest} and {highest:.12g}"
    if not within:
        raise UserError(f"{name} = {shorten(value)} must {bounds}{hint and f'; {hint}'}.")
    return value


def _parse_int(name: str, value: Any, lowest: int, highest: int | None, hint: str = "") -> int:
    """Return a value that is a whole number between two bounds.

    Raises:
        UserError: it is not.
    """
    number = _parse_float(name, value, lowest, highest, hint)
    if number % 1 != 0:
        raise UserError(f"{name} = {shorten(value)} must be a whole number; round it.")
    return int(number)


def shorten(value: Any) -> str:
    """Return a value as a message repeats it: not all of it, if it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
