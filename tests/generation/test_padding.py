"""Texts of unequal length, read and written together, are the texts read and written alone."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from comparing import one_text
from minigpt import (
    GPT,
    CausalSelfAttention,
    CharTokenizer,
    GPTConfig,
    RotaryEmbedding,
    Sampler,
    UserError,
    generate,
    generate_batch,
)
from minigpt.generation import generate as generation
from minigpt.generation.generate import CachedDecoder, generate_ids, left_pad, make_generator, supports_padding
from minigpt.model.attention import ATTENTION_FUNCTIONS
from minigpt.model.layers import MLPS, NORMS
from minigpt.model.position import POSITION_EMBEDDINGS

V, BLOCK_SIZE = 11, 8
PARTS = st.fixed_dictionaries(
    {
        "position": st.sampled_from(sorted(POSITION_EMBEDDINGS)),
        "attn_impl": st.sampled_from(sorted(ATTENTION_FUNCTIONS)),
        "norm": st.sampled_from(sorted(NORMS)),
        "mlp": st.sampled_from(sorted(MLPS)),
        "n_kv_head": st.sampled_from([None, 1, 2]),
        "qk_norm": st.booleans(),
        "tie_weights": st.booleans(),
    }
)
TEXTS = st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=BLOCK_SIZE + 3), min_size=1, max_size=4)
SAMPLERS = st.builds(
    Sampler,
    temperature=st.sampled_from([0, 0.7, 1.5]),
    top_k=st.none() | st.integers(1, V),
    top_p=st.none() | st.floats(0.1, 1),
    min_p=st.none() | st.floats(0, 1),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
)
SEEDS = st.integers(0, 2**40)


def build(factories: dict | None = None, **parts) -> GPT:
    """Return a small model with large weights, in numbers so exact that no draw hangs on their rounding."""
    torch.manual_seed(0)
    config = GPTConfig(vocab_size=V, block_size=BLOCK_SIZE, n_layer=2, n_head=4, n_embd=16, **parts)
    model = GPT(config, **(factories or {}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.double().eval()


def together(model: GPT, texts: list[list[int]], sampler: Sampler, n: int, seed: int) -> list[list[int]]:
    """Return the ids that a model generates after several texts at once."""
    ids, n_pad = left_pad(texts)
    generators = [make_generator(seed + row) for row in range(len(texts))]
    steps = list(generate_ids(model, ids, sampler, n, generators, n_pad=n_pad))
    return torch.stack(steps, dim=1).tolist()


@given(PARTS, TEXTS, SAMPLERS, SEEDS, st.booleans())
def test_texts_written_together_are_those_written_alone(parts, texts, sampler, seed, cached):
    model = build(**parts)
    with patch.object(generation, "supports_kv_cache", lambda model: cached):
        found = together(model, texts, sampler, BLOCK_SIZE, seed)
        alone = [one_text(model, text, sampler, BLOCK_SIZE, make_generator(seed + i)) for i, text in enumerate(texts)]
    assert found == alone


@given(PARTS, TEXTS, st.integers(1, BLOCK_SIZE))
def test_logits_with_a_cache_are_those_without(parts, texts, n):
    model = build(**parts)
    ids, n_pad = left_pad(texts)
    cached, uncached = (CachedDecoder(model, ids.size(1) + n, len(texts), n_pad) for _ in range(2))
    uncached.kv_cache = None
    with torch.inference_mode():
        for _ in range(n):
            logits = cached(ids)
            assert_close(uncached(ids), logits)
            for row, text_logits in enumerate(logits):
                window = ids[row, n_pad[row] :][-BLOCK_SIZE:]
                assert_close(model(window[None])[0, -1], text_logits)
            ids = torch.cat((ids, torch.randint(V, (len(texts), 1))), dim=1)


@given(PARTS, TEXTS, st.lists(st.integers(1, BLOCK_SIZE), max_size=BLOCK_SIZE), st.integers(0, V - 1))
def test_every_place_of_padded_texts_read_in_pieces(parts, texts, sizes, filler):
    model = build(**parts)
    texts = [text[:BLOCK_SIZE] for text in texts]
    ids, n_pad = left_pad(texts)
    for row, n in enumerate(n_pad):
        ids[row, :n] = filler
    borders = sorted({min(size, ids.size(1)) for size in sizes} | {0, ids.size(1)})
    with torch.inference_mode():
        cache = model.make_kv_cache(len(texts))
        pieces = [model(ids[:, a:b], cache, n_pad) for a, b in zip(borders, borders[1:], strict=False)]
        for found in (torch.cat(pieces, dim=1), model(ids, n_pad=n_pad)):
            for row, text in enumerate(texts):
                assert_close(found[row, n_pad[row] :], model(torch.tensor([text]))[0])


LETTERS = CharTokenizer.from_text("abcdefghijk")
PROMPTS = st.lists(st.text("abcdefghijk", min_size=1, max_size=12), min_size=1, max_size=4)


@given(PARTS, PROMPTS, SAMPLERS, st.none() | st.integers(0, V - 1), SEEDS)
def test_a_batch_is_what_generate_writes_one_by_one(parts, prompts, sampler, eos_id, seed):
    model = build(**parts)
    options = {"max_new_tokens": 10, "sampler": sampler, "eos_id": eos_id}
    alone = [generate(model, LETTERS, each, seed=seed + row, **options) for row, each in enumerate(prompts)]
    assert generate_batch(model, LETTERS, prompts, seed=seed, **options) == alone


@given(TEXTS)
def test_padding_stands_on_the_left_and_nothing_is_lost(texts):
    ids, n_pad = left_pad(texts)
    assert ids.shape == (len(texts), max(map(len, texts))) and ids.dtype == torch.long
    assert [row[n:].tolist() for row, n in zip(ids, n_pad, strict=True)] == texts


def test_a_text_does_not_depend_on_those_beside_it():
    model = build()
    alone, beside = (
        generate_batch(model, LETTERS, ["abc", other], max_new_tokens=20, seed=4)[0] for other in ("abc", "k" * 9)
    )
    assert alone == beside == generate(model, LETTERS, "abc", max_new_tokens=20, seed=4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("position", POSITION_EMBEDDINGS)
@pytest.mark.parametrize("attn_impl", ATTENTION_FUNCTIONS)
def test_padding_is_hidden_in_every_precision(dtype, position, attn_impl):
    model = build(position=position, attn_impl=attn_impl).to(dtype)
    ids, n_pad = left_pad([[1, 2], [3, 4, 5, 6, 7]])
    with torch.inference_mode():
        logits = model(ids, n_pad=n_pad)
        other = model(ids.masked_fill(torch.arange(5) < torch.tensor(n_pad)[:, None], 9), n_pad=n_pad)
    assert logits.dtype == dtype and logits.isfinite().all()
    assert torch.equal(logits[0, 3:], other[0, 3:]) and torch.equal(logits[1], other[1])


@torch.no_grad()
def test_a_long_context_is_padded_in_tiles():
    torch.manual_seed(0)
    config = GPTConfig(vocab_size=V, block_size=300, n_layer=1, n_head=2, n_embd=8, attn_impl="tiled")
    model = GPT(config).eval()
    ids, n_pad = left_pad([[1, 2, 3], [4] * 300])
    assert_close(model(ids, n_pad=n_pad)[0, n_pad[0] :], model(torch.tensor([[1, 2, 3]]))[0], atol=1e-5, rtol=1e-5)


class Absolute(RotaryEmbedding):
    def apply_rotary(self, x, offset=0):
        return super().apply_rotary(x, offset) + 0.1 * torch.arange(offset, offset + x.size(-2)).unsqueeze(1)


class OwnAttention(CausalSelfAttention):
    def forward(self, x, position=None, kv_cache=None):
        return super().forward(x)


class OwnForward(GPT):
    def forward(self, ids, kv_cache=None):
        return 2 * super().forward(ids, kv_cache)


def test_parts_of_the_readers_own_are_given_no_padding():
    plain = build()
    own_forward = OwnForward(plain.config).double().eval()
    models = [
        build({"position": lambda config: Absolute(config.block_size, config.head_dim)}),
        build({"attention": lambda config: OwnAttention(config.n_embd, config.n_head)}, position="none"),
        build({"mlp": lambda config: torch.nn.Linear(config.n_embd, config.n_embd)}),
        own_forward,
    ]
    assert supports_padding(plain) and not any(map(supports_padding, models))
    prompts, options = ["ab", "cdefg", "a"], {"max_new_tokens": 9, "eos_id": 3}
    for model in models:
        alone = [generate(model, LETTERS, each, seed=5 + row, **options) for row, each in enumerate(prompts)]
        assert generate_batch(model, LETTERS, prompts, seed=5, **options) == alone


def test_a_part_that_would_see_the_padding_is_named():
    ids, n_pad = left_pad([[1], [2, 3]])
    for part in ("attention", "position"):
        model = build({part: lambda config: torch.nn.Identity()}, position="none")
        with pytest.raises(UserError, match="Identity does not know of padding; give the model texts of one length"):
            model(ids, n_pad=n_pad)
