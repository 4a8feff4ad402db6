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
from minigpt.model.position import (
    ALiBi,
    LearnedPositionEmbedding,
    PositionEmbedding,
    RotaryEmbedding,
    SinusoidalPositionEmbedding,
)
from minigpt.model.structure import unwrap_model
from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT
from minigpt.utils.errors import UserError, error_prefix
from minigpt.utils.ids import as_ids
from minigpt.utils.modes import evaluation_mode
from minigpt.utils.numbers import check_seed, to_int

POSITIONWISE_LAYERS = (LayerNorm, RMSNorm, MLP, SwiGLU, SquaredReLUMLP)  # layers that treat every token by itself
PADDABLE_POSITIONS = (  # schemes in which only a text's own tokens and their distances count
    PositionEmbedding,
    LearnedPositionEmbedding,
    SinusoidalPositionEmbedding,
    RotaryEmbedding,
    ALiBi,
)
MAX_SPARE_IDS = 128  # that a small vocabulary may be rounded up by, to a size that a GPU likes
REPLACEMENT_CHAR = "\N{REPLACEMENT CHARACTER}"  # how bytes that are no character are decoded


def generate_ids(
    model: GPT,
    ids: Tensor,
    sampler: Sampler,
    max_new_tokens: int,
    generator: torch.Generator | Sequence[torch.Generator | None] | None = None,
    eos_id: int | None = None,
    vocab_size: int | None = None,
    n_pad: Sequence[int] | None = None,
) -> Iterator[Tensor]:
    """Yield up to `max_new_tokens` times the next token of every text: ids (B, N) -> (B,).

    The model sees the last `block_size` tokens at every step. A text ends with `eos_id`, which is repeated until all
    texts have ended. Ids from `vocab_size` on stand for no token and are never drawn. The first `n_pad[b]` ids of row b
    only fill it up (see `left_pad`). With a generator for each text, no draw depends on the texts beside it.
    """
    ids, model = as_ids(ids).cpu(), unwrap_model(model)
    n_pad = [0] * len(ids) if n_pad is None else n_pad
    generators = generator if isinstance(generator, Sequence) else [generator] * len(ids)
    decoder = CachedDecoder(model, ids.size(1) + max_new_tokens, len(ids), n_pad)
    ended = torch.zeros(len(ids), dtype=torch.bool)
    with evaluation_mode(model):
        for _ in range(max_new_tokens):
            with torch.inference_mode():
                logits = decoder(ids).cpu()[:, :vocab_size]  # (B, V)
                drawn = [
                    sampler.sample(logits[row : row + 1], ids[row : row + 1, n_pad[row] :], generators[row])
                    for row in range(len(ids))
                ]
                next_ids = torch.cat(drawn)  # (B,)
            if eos_id is not None:
                next_ids = next_ids.masked_fill(ended, eos_id)
                ended |= next_ids == eos_id
            ids = torch.cat((ids, next_ids.unsqueeze(1)), dim=1)
            yield next_ids
            if ended.all():
                return


def left_pad(texts: Sequence[Sequence[int]]) -> tuple[Tensor, list[int]]:
    """Fill texts up on the left to the length of the longest: (B, N), and how many ids were added to each."""
    longest = max(map(len, texts))
    n_pad = [longest - len(text) for text in texts]
    return torch.tensor([[0] * n + list(text) for n, text in zip(n_pad, texts, strict=True)]), n_pad


class CachedDecoder:
    """Gives the logits after texts that grow: while they fit into the context, the model reads only what is new.

    Beyond that every token has another position at each step, so the whole window has to be read again. So it has
    with a model that holds a layer of the reader's own, which may look back and takes no cache. The cache has room
    for `max_seq_len` tokens, or for the whole context if that is shorter. `n_pad` is that of `generate_ids`.
    """

    def __init__(self, model: GPT, max_seq_len: int, batch_size: int = 1, n_pad: Sequence[int] | None = None) -> None:
        self.model = model
        max_seq_len = min(max_seq_len, model.config.block_size)
        self.kv_cache = model.make_kv_cache(batch_size, max_seq_len) if supports_kv_cache(model) else None
        self.device = next(model.parameters()).device
        self.n_pad = n_pad or []

    def __call__(self, ids: Tensor) -> Tensor:  # (B, N) -> (B, V)
        n_left = max(0, ids.size(1) - self.model.config.block_size)  # tokens that the window has left behind
        left = [max(0, n - n_left) for n in self.n_pad]
        n_pad = left if any(left) else None
        if self.kv_cache is None or n_left > 0:
            return next_token_logits(self.model, ids[:, n_left:].to(self.device), n_pad=n_pad)
        unread = ids[:, len(self.kv_cache[0]) :]
        return next_token_logits(self.model, unread.to(self.device), self.kv_cache, n_pad)


def next_token_logits(
    model: GPT, ids: Tensor, kv_cache: list[KVCache] | None = None, n_pad: Sequence[int] | None = None
) -> Tensor:
    """Return the logits after the last of the ids, (B, T) -> (B, V), without those that nobody asked for.

    With a large vocabulary, the head at every place would take a good part of the time of reading a prompt. A model
    that has hooks or a `forward` of its own is called as a whole.
    """
    watched = model._forward_hooks or model._forward_pre_hooks
    if not watched and not _has_own_forward(model):
        return model.lm_head(model.hidden_states(ids, kv_cache, n_pad)[:, -1])
    if n_pad is not None:
        return model(ids, kv_cache, n_pad)[:, -1]
    return (model(ids) if kv_cache is None else model(ids, kv_cache))[:, -1]


def _has_own_forward(model: GPT) -> bool:
    """Return whether a model computes in another way than `GPT` does."""
    return getattr(model.forward, "__func__", None) is not GPT.forward


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


def supports_padding(model: GPT) -> bool:
    """Return whether a model can read texts of unequal length together, with ids before the shorter ones."""
    plain = supports_kv_cache(model) and type(model.position) in PADDABLE_POSITIONS and not _has_own_forward(model)
    return plain and all(type(block.attention) is CausalSelfAttention for block in model.blocks)


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
    """Return the prompt and its continuation, which ends before the first stop string or `eos_id`.

    The five settings from `temperature` on are those of a `Sampler`; a `sampler` of one's own takes their place.
    Without an `eos_id`, the tokenizer's `<|endoftext|>` ends the text, if there is one (-1 lets nothing end it). It
    also begins the text where the prompt is empty. The same seed gives the same text on the same machine.

    Raises:
        UserError: the prompt is empty or holds an unknown character, the tokenizer is not the model's, or a setting is
            out of range.
    """
    settings = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
    }
    pieces = generate_stream(
        model,
        tokenizer,
        prompt,
        max_new_tokens=max_new_tokens,
        sampler=_make_sampler(sampler, settings),
        stop=stop,
        eos_id=eos_id,
        seed=seed,
    )
    return prompt + "".join(pieces)


def generate_stream(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_new_tokens: int = 200,
    temperature: float = 1.0,
    sampler: Sampler | None = None,
    stop: str | Sequence[str] = (),
    eos_id: int | None = None,
    seed: int | None = None,
) -> Iterator[str]:
    """Yield the continuation of a prompt piece by piece; `sampler=Sampler(top_k=…)` for more than a temperature.

    What the arguments mean, and what it raises, is said at `generate`.
    """
    model = unwrap_model(model)
    sampler = _make_sampler(sampler, {"temperature": temperature})
    max_new_tokens = to_int("max_new_tokens", max_new_tokens, 0)
    eos_id, vocab_size = _end_id(tokenizer, eos_id), known_ids(model, tokenizer)
    ids = torch.tensor([encode_prompt(tokenizer, prompt)])  # (1, N)
    steps = generate_ids(model, ids, sampler, max_new_tokens, make_generator(seed), eos_id, vocab_size)
    new_ids = (id for id in map(int, steps) if id != eos_id)
    stops = [stop] if isinstance(stop, str) else list(stop)
    return apply_stop_strings(incremental_decode(tokenizer, new_ids), [text for text in stops if text])


def generate_batch(
    model: GPT,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 200,
    temperature: float = 1.0,
    sampler: Sampler | None = None,
    eos_id: int | None = None,
    seed: int | None = None,
) -> list[str]:
    """Return each prompt, of any length, with its continuation; they are read and written together.

    Prompt number i is continued as `generate` does it alone with the seed `seed` + i. A model with attention or
    positions of the reader's own, which may not know of padding, continues prompts of unequal length one by one. What
    the arguments mean is said at `generate`.

    Raises:
        UserError: as `generate` does; or there is no prompt, or a single text where a list should be.
    """
    if isinstance(prompts, str):
        raise UserError("The prompts are a single text; put it into a list, or call generate.")
    prompts, model = list(prompts), unwrap_model(model)
    ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    if len(ids) == 0:
        raise UserError("There is no prompt; give at least one.")
    sampler = _make_sampler(sampler, {"temperature": temperature})
    n_new = to_int("max_new_tokens", max_new_tokens, 0)
    seeds = [None if seed is None else check_seed(seed) + row for row in range(len(ids))]
    if len(set(map(len, ids))) > 1 and not supports_padding(model):
        settings: dict[str, Any] = {"max_new_tokens": n_new, "sampler": sampler, "eos_id": eos_id}
        each = zip(prompts, seeds, strict=True)
        return [generate(model, tokenizer, prompt, seed=its_seed, **settings) for prompt, its_seed in each]
    eos_id, vocab_size = _end_id(tokenizer, eos_id), known_ids(model, tokenizer)
    padded, n_pad = left_pad(ids)  # (B, N)
    generators = [make_generator(its_seed) for its_seed in seeds]
    steps = list(generate_ids(model, padded, sampler, n_new, generators, eos_id, vocab_size, n_pad))
    texts = torch.stack(steps, dim=1).tolist() if steps else [[] for _ in ids]
    new_ids = [text[: text.index(eos_id)] if eos_id in text else text for text in texts]
    return [prompt + tokenizer.decode(text) for prompt, text in zip(prompts, new_ids, strict=True)]


def _make_sampler(sampler: Sampler | None, settings: dict[str, Any]) -> Sampler:
    """Return the sampler that was given, or one with these settings; both together are an error."""
    if sampler is None:
        return Sampler(**settings)
    changed = [name for name, value in settings.items() if value != getattr(Sampler(), name)]
    if changed:
        raise UserError(f"A sampler was given, and {', '.join(changed)} besides; say it to the sampler itself.")
    return sampler


def make_generator(seed: int | None) -> torch.Generator | None:
    """Return the generator that the draws of a text come from; without a seed it is PyTorch's own, which is None.

    Raises:
        UserError: the seed is no whole number, or out of range.
    """
    return None if seed is None else torch.Generator().manual_seed(check_seed(seed))


def end_of_text_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of `<|endoftext|>`, with which texts end and begin, or None if the tokenizer has none."""
    return getattr(tokenizer, "special_tokens", {}).get(END_OF_TEXT)


def _end_id(tokenizer: Tokenizer, eos_id: int | None) -> int | None:
    """Return the id with which a text ends: the one asked for, or the tokenizer's own; None if there is none."""
    return end_of_text_id(tokenizer) if eos_id is None else to_int("eos_id", eos_id, -1)


def known_ids(model: GPT, tokenizer: Tokenizer) -> int:
    """Return how many ids stand for a token; vocabularies are filled up to sizes that are quick to compute with.

    Raises:
        UserError: the tokenizer knows so few of the model's ids that it must be another's.
    """
    known = tokenizer.vocab_size
    size = getattr(model.config, "vocab_size", known)  # a model of the reader's own need not say it
    if size - known > MAX_SPARE_IDS and 2 * known < size:
        raise UserError(
            f"The model has {size:,} ids and this tokenizer only {known:,} tokens; use the model's own tokenizer."
        )
    return known


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
    """Return the ids of a prompt; `name` is what error messages call it. An empty one begins at `<|endoftext|>`.

    Raises:
        UserError: the prompt is no text, holds a character that the tokenizer does not know, or is empty and the
            tokenizer has no `<|endoftext|>`.
    """
    if not isinstance(prompt, str):
        raise UserError(f"The {name} is of type {type(prompt).__name__}, not a text; several go to generate_batch.")
    if len(prompt) > 0:
        with error_prefix(f"The {name}"):
            return tokenizer.encode(prompt)
    start = end_of_text_id(tokenizer)
    if start is None:
        raise UserError(f"The {name} is empty; give the model at least one character to continue, say a newline.")
    return [start]


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
