"""Text from a model, one token at a time, for one text or several at once.

Shapes: B texts, N tokens so far, V vocabulary.
"""

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
_MOST_SPARE_IDS = 128  # that a small vocabulary may be rounded up by, to a size that a GPU likes
REPLACEMENT_CHAR = "\N{REPLACEMENT CHARACTER}"  # how bytes that are no character are decoded


def generate_ids(
    model: GPT,
    ids: Tensor,
    sampler: Sampler,
    max_new_tokens: int,
    generator: torch.Generator | None = None,
    eos_id: int | None = None,
    vocab_size: int | None = None,
) -> Iterator[Tensor]:
    """Yield up to `max_new_tokens` times the next token of every text: ids (B, N) -> (B,).

    With `vocab_size`, that of the tokenizer, the ids that a model has beyond it, and no token stands for, are never
    drawn. The model sees the last `block_size` tokens at every step. A text ends with `eos_id`, which is repeated until
    all texts have ended. The draws of all texts come from one generator, so a text depends on those beside it, unless
    it is greedy.
    """
    decoder = CachedDecoder(model, ids.size(1) + max_new_tokens, batch_size=len(ids))
    ended = torch.zeros(len(ids), dtype=torch.bool)
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            with torch.inference_mode():
                next_ids = sampler.sample(decoder(ids)[:, :vocab_size].cpu(), ids, generator)  # (B,)
            if eos_id is not None:
                next_ids = next_ids.masked_fill(ended, eos_id)
                ended |= next_ids == eos_id
            ids = torch.cat((ids, next_ids.unsqueeze(1)), dim=1)
            yield next_ids
            if ended.all():
                return
    finally:
        model.train(was_training)


class CachedDecoder:
    """Gives the logits after texts that grow: while they fit into the context, the model reads only what is new.

    Beyond that every token has another position at each step, so the whole window has to be read again. So it has
    with a model that holds a layer of the reader's own, which may look back and takes no cache. The cache has room
    for `max_seq_len` tokens, or for the whole context if that is shorter.
    """

    def __init__(self, model: GPT, max_seq_len: int, batch_size: int = 1) -> None:
        self.model = model
        max_seq_len = min(max_seq_len, model.config.block_size)
        self.kv_cache = model.make_kv_cache(batch_size, max_seq_len) if supports_kv_cache(model) else None
        self.device = next(model.parameters()).device

    def __call__(self, ids: Tensor) -> Tensor:  # (B, N) -> (B, V)
        block_size = self.model.config.block_size
        if self.kv_cache is None or ids.size(1) > block_size:
            return next_token_logits(self.model, ids[:, -block_size:].to(self.device))
        return next_token_logits(self.model, ids[:, len(self.kv_cache[0]) :].to(self.device), self.kv_cache)


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
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    sampler: Sampler | None = None,
    stop: str | Sequence[str] = (),
    eos_id: int | None = None,
    seed: int | None = None,
) -> Iterator[str]:
    """Yield the continuation of a prompt piece by piece, ending before the first stop string or `eos_id`.

    A `sampler` of one's own takes the place of the five settings before it. The same seed gives the same text on the
    same machine.

    Raises:
        UserError: the prompt is empty or holds an unknown character, or a setting is out of range.
    """
    sampler = _make_sampler(sampler, temperature, top_k, top_p, min_p, repetition_penalty)
    _check_length(max_new_tokens)
    _check_belongs(model, tokenizer)
    generator = make_generator(seed)
    ids = torch.tensor([encode_prompt(tokenizer, prompt)])  # (1, N)
    steps = generate_ids(model, ids, sampler, max_new_tokens, generator, eos_id, tokenizer.vocab_size)
    new_ids = (id for id in (int(step) for step in steps) if id != eos_id)
    stops = [stop] if isinstance(stop, str) else list(stop)
    return apply_stop_strings(incremental_decode(tokenizer, new_ids), [text for text in stops if text])


def generate(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_new_tokens: int = 200,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    sampler: Sampler | None = None,
    stop: str | Sequence[str] = (),
    eos_id: int | None = None,
    seed: int | None = None,
) -> str:
    """Return the prompt and its continuation; see `generate_stream`."""
    pieces = generate_stream(
        model,
        tokenizer,
        prompt,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        sampler=sampler,
        stop=stop,
        eos_id=eos_id,
        seed=seed,
    )
    return prompt + "".join(pieces)


def generate_batch(
    model: GPT,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 200,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    sampler: Sampler | None = None,
    eos_id: int | None = None,
    seed: int | None = None,
) -> list[str]:
    """Return each prompt with its continuation, all of them read and drawn together; see `generate_stream`.

    Raises:
        UserError: there is no prompt, one is empty or of another number of tokens, or a setting is out of range.
    """
    if len(prompts) == 0:
        raise UserError("There is no prompt; give at least one.")
    sampler = _make_sampler(sampler, temperature, top_k, top_p, min_p, repetition_penalty)
    _check_length(max_new_tokens)
    _check_belongs(model, tokenizer)
    generator = make_generator(seed)
    ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    lengths = sorted({len(each) for each in ids})
    if len(lengths) != 1:
        raise UserError(
            f"The prompts have from {lengths[0]} to {lengths[-1]} tokens; give those of one length at a time."
        )
    steps = list(
        generate_ids(model, torch.tensor(ids), sampler, max_new_tokens, generator, eos_id, tokenizer.vocab_size)
    )
    texts = torch.stack(steps, dim=1).tolist() if steps else [[] for _ in ids]
    new_ids = [text[: text.index(eos_id)] if eos_id in text else text for text in texts]
    return [prompt + tokenizer.decode(text) for prompt, text in zip(prompts, new_ids, strict=True)]


def _make_sampler(
    sampler: Sampler | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    repetition_penalty: float,
) -> Sampler:
    """Return the sampler that was given, or one with these settings; both together are an error."""
    settings: dict[str, Any] = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
    }
    if sampler is None:
        return Sampler(**settings)
    changed = [name for name, value in settings.items() if value != getattr(Sampler(), name)]
    if changed:
        raise UserError(f"A sampler was given, and {', '.join(changed)} besides; say it to the sampler itself.")
    return sampler


def _check_length(max_new_tokens: int) -> None:
    """Raise `UserError` if so many tokens cannot be written."""
    if max_new_tokens < 0:
        raise UserError(f"max_new_tokens = {max_new_tokens} must not be negative.")


def _check_belongs(model: GPT, tokenizer: Tokenizer) -> None:
    """Raise `UserError` if a model has far more ids than the tokenizer has tokens: it is not the one trained with."""
    size, known = model.config.vocab_size, tokenizer.vocab_size
    if size - known > _MOST_SPARE_IDS and 2 * known < size:
        raise UserError(
            f"The model has {size:,} ids and this tokenizer only {known:,} tokens; use the model's own tokenizer."
        )


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
    pending: list[int] = []
    for id in ids:
        pending.append(id)
        text = tokenizer.decode(pending)
        whole = not text.endswith(REPLACEMENT_CHAR)
        yield text if whole else ""
        pending = [] if whole else pending
    if pending:
        yield tokenizer.decode(pending)


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
