"""What a part of one's own has to keep, so that everything else goes on working: checks that take a moment.

Each returns nothing if all is well. Shapes: B batch, T time, V vocabulary.
"""

import torch
from torch import Tensor, nn

from minigpt.config import require
from minigpt.generation import can_cache
from minigpt.sampling import Sampler
from minigpt.tokenizers import Tokenizer

LONGEST = 64  # tokens that a model is tried with


def verify_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    """Try a tokenizer on a text: its ids lie in the vocabulary, and give the text back, also as bytes.

    Raises:
        UserError: one of this is not so.
    """
    ids = tokenizer.encode(text)
    name = type(tokenizer).__name__
    wrong = next((id for id in ids if not (isinstance(id, int) and 0 <= id < tokenizer.vocab_size)), None)
    require(
        wrong is None, f"{name} gives the id {wrong!r}; ids are whole numbers from 0 to {tokenizer.vocab_size - 1}."
    )
    back = tokenizer.decode(ids)
    place = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    require(
        back == text,
        f"{name} turns {text[place : place + 12]!r}, at place {place}, into {back[place : place + 12]!r}; "
        "let decode give back what encode was given.",
    )
    require(
        b"".join(map(tokenizer.token_bytes, ids)) == text.encode("utf-8"),
        f"The token_bytes of {name} do not add up to the text in UTF-8, so bits per character would be wrong; mend it.",
    )


@torch.inference_mode()
def verify_model(model: nn.Module) -> None:
    """Try a model on random ids: its logits have the right shape, are numbers, and depend on nothing that comes later.

    What stands beside a text in a batch may not matter either, and reading with a cache has to give the same.

    Raises:
        UserError: one of this is not so.
    """
    was_training = model.training
    model.eval()
    try:
        n_tokens, length = model.config.vocab_size, min(model.config.block_size, LONGEST)
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(n_tokens, (2, length), generator=generator).to(next(model.parameters()).device)  # (B, T)
        logits = model(ids)
        require_logits(logits, (2, length, n_tokens))
        require(
            close(model(ids[:1]), logits[:1]),
            "The logits of a text depend on the other texts of its batch; let each row be computed by itself.",
        )
        for place in sorted({1, length // 2, length - 1} - {0}):
            require_causal(model, ids, logits, place)
        if can_cache(model):
            require_same_with_cache(model, ids, logits)
    finally:
        model.train(was_training)


def require_logits(logits: Tensor, shape: tuple[int, int, int]) -> None:
    """Raise `UserError` unless these are numbers in the shape (B, T, V)."""
    require(
        isinstance(logits, Tensor) and logits.shape == shape,
        f"For ids of the shape {shape[:2]} the model returns {tuple(getattr(logits, 'shape', ()))}, not {shape}; "
        "every part takes (B, T, C) and returns (B, T, C).",
    )
    require(bool(logits.isfinite().all()), "Some logits are not finite; look for a division by 0 or a logarithm.")


def require_causal(model: nn.Module, ids: Tensor, logits: Tensor, place: int) -> None:
    """Raise `UserError` if other ids from this place on change a logit before it."""
    others = ids.clone()
    others[:, place:] = (others[:, place:] + 1) % model.config.vocab_size
    pairs = enumerate(zip(model(others)[0, :place], logits[0, :place], strict=True))
    moved = next((i for i, (after, before) in pairs if not close(after, before)), None)
    require(
        moved is None,
        f"The logits at place {moved} change with the tokens from place {place} on, which come later; "
        "let no part of the model look ahead.",
    )


def require_same_with_cache(model: nn.Module, ids: Tensor, logits: Tensor) -> None:
    """Raise `UserError` unless reading token by token with a cache gives the logits of reading at once."""
    cache = model.new_cache(ids.size(0))
    steps = [model(ids[:, i : i + 1], cache) for i in range(ids.size(1))]
    require(
        close(torch.cat(steps, dim=1), logits),
        "Read token by token with a cache, the model gives other logits than at once; a position has to count from "
        "`start` on.",
    )


def verify_sampler(sampler: Sampler, vocab_size: int) -> None:
    """Try a sampler on random logits: it keeps their shape, leaves at least one token, and draws one of those.

    Raises:
        UserError: one of this is not so.
    """
    generator = torch.Generator().manual_seed(0)
    name = type(sampler).__name__
    for spread in (0.1, 1.0, 30.0):
        logits = spread * torch.randn(vocab_size, generator=generator)  # (V,)
        seen = torch.randint(vocab_size, (5,), generator=generator)
        kept = sampler.filter(logits.clone(), seen)
        require(
            kept.shape == logits.shape,
            f"{name}.filter returns the shape {tuple(kept.shape)} for logits of {tuple(logits.shape)}; rule a token "
            "out with -inf, and leave it in its place.",
        )
        probabilities = kept.softmax(dim=-1)
        require(
            not probabilities.isnan().any(),
            f"{name}.filter leaves no token that can be drawn; keep at least the likeliest one.",
        )
        chosen = sampler.choose(logits.clone(), seen, generator)
        require(
            chosen.shape == (1,) and bool(probabilities[chosen] > 0),
            f"{name}.choose draws a token that its filter rules out; draw from the filtered logits.",
        )


def close(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal but for rounding."""
    return torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4 * max(1.0, b.abs().max().item()))
