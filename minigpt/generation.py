"""Text from a model, one token at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from minigpt.attention import ATTENDS, Attention
from minigpt.cache import Cache
from minigpt.config import require
from minigpt.errors import named
from minigpt.layers import MLP, LayerNorm, RMSNorm, SquaredReLU, SwiGLU
from minigpt.model import GPT
from minigpt.position import Position
from minigpt.sampling import Sampler
from minigpt.tokenizers import Tokenizer

ONE_BY_ONE = (LayerNorm, RMSNorm, MLP, SwiGLU, SquaredReLU)  # layers that treat every token by itself
BROKEN = "\N{REPLACEMENT CHARACTER}"  # how bytes that are no character are decoded


def stream_ids(
    model: GPT, ids: list[int], sampler: Sampler, max_new_tokens: int, generator: torch.Generator | None = None
) -> Iterator[int]:
    """Yield up to `max_new_tokens` new token ids; the model sees the last `block_size` tokens at every step."""
    read = Reader(model, len(ids) + max_new_tokens)
    seen: Tensor = torch.tensor(ids, dtype=torch.long)
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.inference_mode():
                logits = read(seen.unsqueeze(0))[0]
                chosen = sampler.choose(logits.cpu(), seen, generator)
            seen = torch.cat((seen, chosen))
            yield chosen.item()
    finally:
        model.train(was_training)


class Reader:
    """Gives the logits after texts that grow: while they fit into the context, the model reads only what is new.

    Beyond that every token has another place at each step, so that the whole window has to be read again. So it has
    with a model that holds a layer of the reader's own, which may look back and knows nothing of a cache. `size` is
    how many tokens a text may come to, for which room is made; the context is full sooner if that is shorter.
    """

    def __init__(self, model: GPT, size: int, batch_size: int = 1) -> None:
        self.model = model
        room = min(size, model.config.block_size)
        self.cache = model.new_cache(batch_size, room) if can_cache(model) else None
        self.device = next(model.parameters()).device

    def __call__(self, seen: Tensor) -> Tensor:  # (B, N) -> (B, V)
        block_size = self.model.config.block_size
        if self.cache is None or seen.size(1) > block_size:
            return last_logits(self.model, seen[:, -block_size:].to(self.device))
        return last_logits(self.model, seen[:, len(self.cache[0]) :].to(self.device), self.cache)


def last_logits(model: GPT, ids: Tensor, *cache: list[Cache]) -> Tensor:
    """Return the logits after the last of the ids, (B, T) -> (B, V), without those that nobody asked for.

    With a large vocabulary, the head at every place would take a good part of the time of reading a prompt. A model
    that has hooks or a `forward` of its own is called as a whole.
    """
    watched = model._forward_hooks or model._forward_pre_hooks
    its_own = getattr(model.forward, "__func__", None) is not GPT.forward
    if watched or its_own:
        return model(ids, *cache)[:, -1]
    return model.head(model.states(ids, *cache)[:, -1])


def can_cache(model: GPT) -> bool:
    """Return whether every part of a model can go on from a cache."""
    if not isinstance(model, GPT) or not isinstance(model.position, Position):
        return False
    layers = [block.attention for block in model.blocks]
    others = [part for block in model.blocks for part in (block.attention_norm, block.mlp_norm, block.mlp)]
    known = all(isinstance(layer, Attention) and layer.attend in ATTENDS.values() for layer in layers)
    return known and all(type(part) in ONE_BY_ONE for part in [*others, model.norm])


def stream(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_new_tokens: int = 200,
    stop: str | Sequence[str] = (),
    seed: int | None = None,
    sampler: Sampler | None = None,
    **sampling: Any,
) -> Iterator[str]:
    """Yield the continuation of a prompt piece by piece, ending before the first stop string.

    `sampling` holds the settings of `Sampler`: temperature, top_k, top_p, min_p, repetition_penalty. A sampler of
    one's own takes their place. The same seed gives the same text on the same machine.

    Raises:
        UserError: the prompt is empty or holds an unknown character, or a setting is out of range.
    """
    require_length(max_new_tokens)
    generator = seeded(seed)
    require(
        sampler is None or not sampling,
        f"A sampler was given, and {', '.join(sampling)} besides; say it to the sampler itself.",
    )
    sampler = sampler or Sampler(**sampling)
    ids = encode_prompt(tokenizer, prompt)
    pieces = decode_stream(tokenizer, stream_ids(model, ids, sampler, max_new_tokens, generator))
    stops = [stop] if isinstance(stop, str) else list(stop)
    return until_stop(pieces, [text for text in stops if text])


def require_length(max_new_tokens: int) -> None:
    """Raise `UserError` if so many tokens cannot be written."""
    require(max_new_tokens >= 0, f"max_new_tokens = {max_new_tokens} must not be negative.")


def seeded(seed: int | None) -> torch.Generator | None:
    """Return the generator that the draws of a text come from; without a seed it is PyTorch's own, which is None.

    Raises:
        UserError: the seed is out of range.
    """
    require(seed is None or 0 <= seed < 2**63, f"seed = {seed} must be a whole number from 0 up to 2**63 - 1.")
    return None if seed is None else torch.Generator().manual_seed(seed)


def decode_stream(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """Yield the text of ids one by one; what may be a part of a character is held back until the rest has come."""
    held: list[int] = []
    for id in ids:
        held.append(id)
        text = tokenizer.decode(held)
        whole = not text.endswith(BROKEN)
        yield text if whole else ""
        held = [] if whole else held
    if held:
        yield tokenizer.decode(held)


def generate(model: GPT, tokenizer: Tokenizer, prompt: str, **settings: Any) -> str:
    """Return the prompt and its continuation; the settings are those of `stream`."""
    return prompt + "".join(stream(model, tokenizer, prompt, **settings))


def encode_prompt(tokenizer: Tokenizer, prompt: str, name: str = "prompt") -> list[int]:
    """Return the ids of a prompt; `name` is what error messages call it.

    Raises:
        UserError: the prompt is empty or holds a character that the tokenizer does not know.
    """
    require(len(prompt) > 0, f"The {name} is empty; give the model at least one character to continue, say a newline.")
    with named(f"The {name}"):
        return tokenizer.encode(prompt)


def until_stop(pieces: Iterator[str], stops: list[str]) -> Iterator[str]:
    """Pass pieces of text on up to the first stop string, holding back what may turn out to be the start of one.

    The first is the one that is complete first, so that the text does not depend on where the pieces begin and end.
    """
    held = ""
    for piece in pieces:
        held += piece
        found = [(held.index(stop) + len(stop), held.index(stop)) for stop in stops if stop in held]
        if found:
            _, start = min(found)
            if start > 0:
                yield held[:start]
            return
        keep = max((overlap(held, stop) for stop in stops), default=0)
        ready, held = held[: len(held) - keep], held[len(held) - keep :]
        if ready:
            yield ready
    if held:
        yield held


def overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` are the beginning of `stop`."""
    lengths = range(min(len(text), len(stop) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(stop[:length])), 0)
