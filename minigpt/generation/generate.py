"""Text from a model, one token at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from minigpt.generation.sampling import Sampler
from minigpt.model.attention import ATTENTION_FUNCTIONS, CausalSelfAttention
from minigpt.model.gpt import GPT
from minigpt.model.kv_cache import KVCache
from minigpt.model.layers import MLP, LayerNorm, RMSNorm, SquaredReLUMLP, SwiGLU
from minigpt.model.position import PositionEmbedding
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError, error_prefix

POSITIONWISE_LAYERS = (LayerNorm, RMSNorm, MLP, SwiGLU, SquaredReLUMLP)  # layers that treat every token by itself


REPLACEMENT_CHAR = "\N{REPLACEMENT CHARACTER}"  # how bytes that are no character are decoded


def generate_ids(
    model: GPT, ids: list[int], sampler: Sampler, max_new_tokens: int, generator: torch.Generator | None = None
) -> Iterator[int]:
    """Yield up to `max_new_tokens` new token ids; the model sees the last `block_size` tokens at every step."""
    read = CachedDecoder(model, len(ids) + max_new_tokens)
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


class CachedDecoder:
    """Gives the logits after texts that grow: while they fit into the context, the model reads only what is new.

    Beyond that every token has another place at each step, so that the whole window has to be read again. So it has
    with a model that holds a layer of the reader's own, which may look back and knows nothing of a cache. `size` is
    how many tokens a text may come to, for which room is made; the context is full sooner if that is shorter.
    """

    def __init__(self, model: GPT, size: int, batch_size: int = 1) -> None:
        self.model = model
        room = min(size, model.config.block_size)
        self.cache = model.make_kv_cache(batch_size, room) if supports_kv_cache(model) else None
        self.device = next(model.parameters()).device

    def __call__(self, seen: Tensor) -> Tensor:  # (B, N) -> (B, V)
        block_size = self.model.config.block_size
        if self.cache is None or seen.size(1) > block_size:
            return next_token_logits(self.model, seen[:, -block_size:].to(self.device))
        return next_token_logits(self.model, seen[:, len(self.cache[0]) :].to(self.device), self.cache)


def next_token_logits(model: GPT, ids: Tensor, kv_cache: list[KVCache] | None = None) -> Tensor:
    """Return the logits after the last of the ids, (B, T) -> (B, V), without those that nobody asked for.

    With a large vocabulary, the head at every place would take a good part of the time of reading a prompt. A model
    that has hooks or a `forward` of its own is called as a whole.
    """
    watched = model._forward_hooks or model._forward_pre_hooks
    its_own = getattr(model.forward, "__func__", None) is not GPT.forward
    if watched or its_own:
        return (model(ids) if kv_cache is None else model(ids, kv_cache))[:, -1]
    return model.lm_head(model.hidden_states(ids, kv_cache)[:, -1])


def supports_kv_cache(model: GPT) -> bool:
    """Return whether every part of a model can go on from a cache."""
    if not isinstance(model, GPT) or not isinstance(model.position, PositionEmbedding):
        return False
    layers = [block.attention for block in model.blocks]
    others = [part for block in model.blocks for part in (block.attention_norm, block.mlp_norm, block.mlp)]
    known = all(
        isinstance(layer, CausalSelfAttention) and layer.attn_impl in ATTENTION_FUNCTIONS.values() for layer in layers
    )
    return known and all(type(part) in POSITIONWISE_LAYERS for part in [*others, model.final_norm])


def generate_stream(
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
    _check_length(max_new_tokens)
    generator = make_generator(seed)
    if sampler is not None and sampling:
        raise UserError(f"A sampler was given, and {', '.join(sampling)} besides; say it to the sampler itself.")
    sampler = sampler or Sampler(**sampling)
    ids = encode_prompt(tokenizer, prompt)
    pieces = incremental_decode(tokenizer, generate_ids(model, ids, sampler, max_new_tokens, generator))
    stops = [stop] if isinstance(stop, str) else list(stop)
    return apply_stop_strings(pieces, [text for text in stops if text])


def _check_length(max_new_tokens: int) -> None:
    """Raise `UserError` if so many tokens cannot be written."""
    if max_new_tokens < 0:
        raise UserError(f"max_new_tokens = {max_new_tokens} must not be negative.")


def make_generator(seed: int | None) -> torch.Generator | None:
    """Return the generator that the draws of a text come from; without a seed it is PyTorch's own, which is None.

    Raises:
        UserError: the seed is out of range.
    """
    if seed is not None and not 0 <= seed < 2**63:
        raise UserError(f"seed = {seed} must be a whole number from 0 up to 2**63 - 1.")
    return None if seed is None else torch.Generator().manual_seed(seed)


def incremental_decode(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """Yield the text of ids one by one; what may be a part of a character is held back until the rest has come."""
    held: list[int] = []
    for id in ids:
        held.append(id)
        text = tokenizer.decode(held)
        whole = not text.endswith(REPLACEMENT_CHAR)
        yield text if whole else ""
        held = [] if whole else held
    if held:
        yield tokenizer.decode(held)


def generate(model: GPT, tokenizer: Tokenizer, prompt: str, **settings: Any) -> str:
    """Return the prompt and its continuation; the settings are those of `generate_stream`."""
    return prompt + "".join(generate_stream(model, tokenizer, prompt, **settings))


def encode_prompt(tokenizer: Tokenizer, prompt: str, name: str = "prompt") -> list[int]:
    """Return the ids of a prompt; `name` is what error messages call it.

    Raises:
        UserError: the prompt is empty or holds a character that the tokenizer does not know.
    """
    if len(prompt) <= 0:
        raise UserError(f"The {name} is empty; give the model at least one character to continue, say a newline.")
    with error_prefix(f"The {name}"):
        return tokenizer.encode(prompt)


def apply_stop_strings(pieces: Iterator[str], stops: list[str]) -> Iterator[str]:
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
        keep = max((partial_stop_length(held, stop) for stop in stops), default=0)
        ready, held = held[: len(held) - keep], held[len(held) - keep :]
        if ready:
            yield ready
    if held:
        yield held


def partial_stop_length(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` are the beginning of `stop`."""
    lengths = range(min(len(text), len(stop) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(stop[:length])), 0)


def generate_ids_batch(
    model: GPT, ids: Tensor, sampler: Sampler, max_new_tokens: int, generator: torch.Generator | None = None
) -> Iterator[Tensor]:
    """Yield up to `max_new_tokens` times the next token of every text: ids (B, N) -> (B,).

    The draws of all texts come from one generator, so that a text depends on those beside it, unless it is greedy.
    """
    read, seen = CachedDecoder(model, ids.size(1) + max_new_tokens, batch_size=len(ids)), ids
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.inference_mode():
                rows = zip(read(seen).cpu(), seen, strict=True)
                chosen = torch.stack([sampler.choose(logits, text, generator) for logits, text in rows])  # (B, 1)
            seen = torch.cat((seen, chosen), dim=1)
            yield chosen[:, 0]
    finally:
        model.train(was_training)


def generate_batch(
    model: GPT,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 200,
    seed: int | None = None,
    **sampling: Any,
) -> list[str]:
    """Return each prompt with its continuation; all prompts have the same number of tokens.

    `sampling` holds the settings of `Sampler`.

    Raises:
        UserError: there is no prompt, one is empty or of another length, or a setting is out of range.
    """
    if len(prompts) <= 0:
        raise UserError("There is no prompt; give at least one.")
    _check_length(max_new_tokens)
    generator = make_generator(seed)
    ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    lengths = sorted({len(each) for each in ids})
    if len(lengths) != 1:
        raise UserError(
            f"The prompts have from {lengths[0]} to {lengths[-1]} tokens; give those of one length at a time."
        )
    steps = list(generate_ids_batch(model, torch.tensor(ids), Sampler(**sampling), max_new_tokens, generator))
    texts = torch.stack(steps, dim=1).tolist() if steps else [[] for _ in ids]
    return [prompt + tokenizer.decode(text) for prompt, text in zip(prompts, texts, strict=True)]
