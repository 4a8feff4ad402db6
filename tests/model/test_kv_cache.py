"""The cache of keys and values: what it returns, and what it refuses."""

import pytest
import torch
from torch.testing import assert_close

from minigpt import CausalSelfAttention, UserError
from minigpt.model.kv_cache import KVCache


def random_kv(length: int, batch_size: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(batch_size, 3, length, 4), torch.randn(batch_size, 3, length, 4)


@pytest.fixture
def cache() -> KVCache:
    return KVCache(batch_size=2, n_kv_head=3, max_seq_len=8, head_dim=4)


def test_update_returns_everything_so_far(cache):
    k, v = random_kv(6)
    for start, end in ((0, 3), (3, 4), (4, 6)):
        keys, values = cache.update(k[:, :, start:end], v[:, :, start:end])
        assert len(cache) == end
        assert torch.equal(keys, k[:, :, :end]) and torch.equal(values, v[:, :, :end])


def test_after_a_reset_nothing_is_left(cache):
    cache.update(*random_kv(5))
    cache.reset()
    k, v = random_kv(2)
    assert torch.equal(cache.update(k, v)[0], k) and len(cache) == 2


def test_more_than_its_size_is_an_error(cache):
    cache.update(*random_kv(8))
    with pytest.raises(UserError, match="The cache has room for 8 tokens, not for 9; start a new one"):
        cache.update(*random_kv(1))


def test_another_batch_is_an_error(cache):
    with pytest.raises(UserError, match="The cache is for a batch of 2, not 3; start a new one"):
        cache.update(*random_kv(1, batch_size=3))


def test_gradients_are_refused(model):
    with pytest.raises(UserError, match=r"A cache keeps no gradients; run the model inside `with torch.no_grad\(\):`"):
        model(torch.zeros(1, 2, dtype=torch.long), model.make_kv_cache())


def test_attention_of_another_kind_has_no_cache(make_model):
    model = make_model(factories={"attention": lambda config: torch.nn.Identity()})
    with pytest.raises(UserError, match="Identity takes no KV cache; build on CausalSelfAttention"):
        model.make_kv_cache()


@torch.no_grad()
@pytest.mark.parametrize("chunk", [1, 2, 3, 8])
def test_any_chunks_give_the_logits_of_the_whole_up_to_the_edge(make_model, chunk):
    model = make_model(position="rope", n_kv_head=1)
    ids = torch.randint(model.config.vocab_size, (3, 8))
    cache = model.make_kv_cache(batch_size=3)
    for _ in range(2):  # the second time after a reset
        logits = torch.cat([model(piece, cache) for piece in ids.split(chunk, dim=1)], dim=1)
        assert_close(logits, model(ids), atol=1e-5, rtol=1e-5)
        for layer in cache:
            layer.reset()


@torch.no_grad()
def test_beyond_the_context_is_an_error_and_leaves_the_cache_as_it_was(model):
    cache = model.make_kv_cache()
    model(torch.zeros(1, 6, dtype=torch.long), cache)
    with pytest.raises(UserError, match="The sequence has 9 tokens but the model's block_size is 8"):
        model(torch.zeros(1, 3, dtype=torch.long), cache)
    assert [len(layer) for layer in cache] == [6, 6]


def test_grouped_queries_need_a_smaller_cache():
    full, grouped = (
        CausalSelfAttention(24, 6, n_kv_head=heads).make_kv_cache(2, 10, torch.device("cpu"), torch.float32)
        for heads in (None, 2)
    )
    assert full.n_bytes == 2 * 4 * 2 * 10 * 24
    assert full.n_bytes == 3 * grouped.n_bytes


@torch.no_grad()
def test_a_cache_may_be_smaller_than_the_context(model):
    cache = model.make_kv_cache(max_seq_len=4)
    model(torch.zeros(1, 4, dtype=torch.long), cache)
    with pytest.raises(UserError, match="room for 4 tokens"):
        model(torch.zeros(1, 1, dtype=torch.long), cache)
