"""Several texts at once, one token each at a time: reading the weights serves all of them.

Shapes: B texts, N tokens so far.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from minigpt.config import require
from minigpt.generation import Reader, encode_prompt, require_length, seeded
from minigpt.model import GPT
from minigpt.sampling import Sampler
from minigpt.tokenizers import Tokenizer


def stream_batch(
    model: GPT, ids: Tensor, sampler: Sampler, max_new_tokens: int, generator: torch.Generator | None = None
) -> Iterator[Tensor]:
    """Yield up to `max_new_tokens` times the next token of every text: ids (B, N) -> (B,).

    The draws of all texts come from one generator, so that a text depends on those beside it, unless it is greedy.
    """
    read, seen = Reader(model, ids.size(1) + max_new_tokens, batch_size=len(ids)), ids
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
    require(len(prompts) > 0, "There is no prompt; give at least one.")
    require_length(max_new_tokens)
    generator = seeded(seed)
    ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    lengths = sorted({len(each) for each in ids})
    require(
        len(lengths) == 1,
        f"The prompts have from {lengths[0]} to {lengths[-1]} tokens; give those of one length at a time.",
    )
    steps = list(stream_batch(model, torch.tensor(ids), Sampler(**sampling), max_new_tokens, generator))
    texts = torch.stack(steps, dim=1).tolist() if steps else [[] for _ in ids]
    return [prompt + tokenizer.decode(text) for prompt, text in zip(prompts, texts, strict=True)]
