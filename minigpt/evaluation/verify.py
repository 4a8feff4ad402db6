"""What a part of one's own has to keep, so that everything else goes on working: checks that take a moment.

Each returns nothing if all is well. Shapes: B batch, T time, V vocabulary.
"""

import torch
from torch import Tensor

from minigpt.generation.generate import supports_kv_cache
from minigpt.generation.sampling import Sampler
from minigpt.model.gpt import GPT
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.modes import evaluation_mode

_MAX_LENGTH = 64  # tokens that a model is tried with


def verify_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    """Try a tokenizer on a text: its ids lie in the vocabulary, and give the text back, also as bytes.

    Raises:
        UserError: one of this is not so.
    """
    ids = tokenizer.encode(text)
    name = type(tokenizer).__name__
    wrong = next((id for id in ids if not (isinstance(id, int) and 0 <= id < tokenizer.vocab_size)), None)
    if wrong is not None:
        raise UserError(f"{name} gives the id {wrong!r}; ids are whole numbers from 0 to {tokenizer.vocab_size - 1}.")
    back = tokenizer.decode(ids)
    place = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    if back != text:
        raise UserError(
            f"{name} turns {text[place : place + 12]!r}, at place {place}, into {back[place : place + 12]!r}; "
            "let decode give back what encode was given."
        )
    if b"".join(map(tokenizer.token_bytes, ids)) != text.encode("utf-8"):
        raise UserError(
            f"The token_bytes of {name} do not add up to the text in UTF-8, so bits per character would be "
            "wrong; fix it."
        )


@torch.inference_mode()
def verify_model(model: GPT) -> None:
    """Try a model on random ids: its logits have the right shape, are numbers, and depend on nothing that comes later.

    What stands beside a text in a batch may not matter either, and reading with a cache has to give the same.

    Raises:
        UserError: one of this is not so.
    """
    with evaluation_mode(model):
        n_tokens, length = model.config.vocab_size, min(model.config.block_size, _MAX_LENGTH)
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(n_tokens, (2, length), generator=generator).to(next(model.parameters()).device)  # (B, T)
        logits = model(ids)
        _check_logits(logits, (2, length, n_tokens))
        if not _close(model(ids[:1]), logits[:1]):
            raise UserError(
                "The logits of a text depend on the other texts of its batch; let each row be computed by itself."
            )
        for place in sorted({1, length // 2, length - 1} - {0}):
            _check_causal(model, ids, logits, place)
        if supports_kv_cache(model):
            _check_kv_cache(model, ids, logits)


def _check_logits(logits: Tensor, shape: tuple[int, int, int]) -> None:
    """Raise `UserError` unless these are numbers in the shape (B, T, V)."""
    if not isinstance(logits, Tensor) or logits.shape != shape:
        raise UserError(
            f"For ids of the shape {shape[:2]} the model returns {tuple(getattr(logits, 'shape', ()))}, not {shape}; "
            "every part takes (B, T, C) and returns (B, T, C)."
        )
    if not bool(logits.isfinite().all()):
        raise UserError("Some logits are not finite; look for a division by 0 or a logarithm.")


def _check_causal(model: GPT, ids: Tensor, logits: Tensor, place: int) -> None:
    """Raise `UserError` if other ids from this place on change a logit before it."""
    others = ids.clone()
    others[:, place:] = (others[:, place:] + 1) % model.config.vocab_size
    pairs = enumerate(zip(model(others)[0, :place], logits[0, :place], strict=True))
    moved = next((i for i, (after, before) in pairs if not _close(after, before)), None)
    if moved is not None:
        raise UserError(
            f"The logits at place {moved} change with the tokens from place {place} on, which come later; "
            "let no part of the model look ahead."
        )


def _check_kv_cache(model: GPT, ids: Tensor, logits: Tensor) -> None:
    """Raise `UserError` unless reading token by token with a cache gives the logits of reading at once."""
    cache = model.make_kv_cache(ids.size(0))
    steps = [model(ids[:, i : i + 1], cache) for i in range(ids.size(1))]
    if not _close(torch.cat(steps, dim=1), logits):
        raise UserError(
            "Read token by token with a cache, the model gives other logits than at once; a position has to count from "
            "`offset` on."
        )


def verify_sampler(sampler: Sampler, vocab_size: int) -> None:
    """Try a sampler on random logits: it keeps their shape, leaves at least one token, and draws one of those.

    Raises:
        UserError: one of this is not so.
    """
    generator = torch.Generator().manual_seed(0)
    name = type(sampler).__name__
    for spread in (0.1, 1.0, 30.0):
        logits = spread * torch.randn(2, vocab_size, generator=generator)  # (B, V)
        prev_ids = torch.randint(vocab_size, (2, 5), generator=generator)  # (B, N)
        kept = sampler.process_logits(logits.clone(), prev_ids)
        if kept.shape != logits.shape:
            raise UserError(
                f"{name}.process_logits returns the shape {tuple(kept.shape)} for logits of {tuple(logits.shape)}; "
                "rule a token out with -inf, and leave it in its place."
            )
        probabilities = kept.softmax(dim=-1)
        if probabilities.isnan().any():
            raise UserError(f"{name}.process_logits leaves no token that can be drawn; keep at least the likeliest.")
        drawn = sampler.sample(logits.clone(), prev_ids, generator)
        if drawn.shape != (2,) or not bool((probabilities.gather(1, drawn.unsqueeze(1)) > 0).all()):
            raise UserError(
                f"{name}.sample draws a token that its process_logits rules out; draw from the processed logits."
            )


def _close(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal but for rounding."""
    return torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4 * max(1.0, b.abs().max().item()))
