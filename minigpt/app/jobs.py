"""A request carried out: texts that grow, told in steps that a page can follow, until a limit of time."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from minigpt.app.requests import GenerationRequest
from minigpt.generation.generate import encode_prompt, end_of_text_id, generate_ids, incremental_decode, known_ids
from minigpt.model.gpt import GPT
from minigpt.tokenizer.base import Tokenizer

_UPDATE_EVERY = 0.1  # seconds between two steps that are told


Clock = Callable[[], float]


@dataclass(frozen=True)
class Progress:
    """How far a request has come: the continuations so far, of which only the last still grows, and a sentence."""

    texts: tuple[str, ...]
    status: str
    finished: bool = False


class Stopwatch:
    """Counts tokens until a limit of time, in seconds, is over."""

    def __init__(self, limit: float, clock: Clock) -> None:
        self.limit = limit
        self.clock = clock
        self.start = clock()
        self.tokens = 0

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return self.clock() - self.start

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.seconds >= self.limit

    def until_over(self, ids: Iterable[int]) -> Iterator[int]:
        """Pass ids on as long as there is time."""
        for id in ids:
            self.tokens += 1
            yield id
            if self.over:
                return

    @property
    def speed(self) -> str:
        """The tokens so far and how long they took."""
        return f"{self.tokens:,} token{'s' * (self.tokens != 1)} in {self.seconds:.1f} s"


def run_request(
    model: GPT,
    tokenizer: Tokenizer,
    request: GenerationRequest,
    seconds: float,
    every: float = _UPDATE_EVERY,
    clock: Clock = time.monotonic,
) -> Iterator[Progress]:
    """Yield how far a request has come, no oftener than `every` so many seconds, and at the end.

    Each sample is what `minigpt.generate` writes with its seed. After `seconds` the request ends where it is.

    Raises:
        UserError: the prompt is empty or holds an unknown character.
    """
    watch = Stopwatch(seconds, clock)
    ids = torch.tensor([encode_prompt(tokenizer, request.prompt)])  # (1, N)
    eos_id, vocab_size = end_of_text_id(tokenizer), known_ids(model, tokenizer)
    texts: list[str] = []
    told = watch.start
    for seed in request.seeds:
        texts.append("")
        generator = torch.Generator().manual_seed(seed)
        steps = generate_ids(model, ids, request.sampler, request.max_new_tokens, generator, eos_id, vocab_size)
        new_ids = watch.until_over(id for id in map(int, steps) if id != eos_id)
        for piece in incremental_decode(tokenizer, new_ids):
            texts[-1] += piece
            if clock() - told >= every:
                told = clock()
                yield Progress(tuple(texts), f"Writing: {watch.speed}.")
        if watch.over:
            break
    yield Progress(tuple(texts), _closing(watch, request, model.config.block_size, ids.size(1)), finished=True)


def _closing(watch: Stopwatch, request: GenerationRequest, block_size: int, prompt_tokens: int) -> str:
    """Return what there is to say of a request at its end."""
    sentences = [f"{watch.speed}, seed {request.seed}."]
    if watch.over and watch.tokens < request.samples * request.max_new_tokens:
        sentences.append(f"It ended there because a request may take no more than {watch.limit:g} seconds.")
    if prompt_tokens > block_size:
        sentences.append(f"Of the {prompt_tokens:,} tokens of the prompt, the model has read the last {block_size:,}.")
    return " ".join(sentences)
