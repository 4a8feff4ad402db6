"""What parts of one's own promise: kept promises pass in silence, and each broken one is named in a sentence."""

import math

import pytest
import torch
from torch import nn

from minigpt import GPT, CharTokenizer, LearnedPositionEmbedding, Sampler, UserError, verify_model, verify_sampler
from minigpt import verify_tokenizer as verify

SENTENCE = "café, and again"


@pytest.fixture
def characters():
    return CharTokenizer.from_text(SENTENCE)


@pytest.mark.parametrize("changes", [{}, {"position": "rope"}, {"position": "alibi", "attn_impl": "naive"}])
def test_the_package_keeps_its_contracts(make_model, characters, changes):
    verify_model(make_model(**changes))
    verify_model(make_model(**changes, n_kv_head=1, mlp="swiglu", norm="rmsnorm").train())
    verify(characters, SENTENCE)
    for settings in ({}, {"temperature": 0}, {"top_p": 0.1}, {"min_p": 1.0}, {"top_k": 1, "repetition_penalty": 2.0}):
        verify_sampler(Sampler(**settings), 20)


def test_a_model_is_left_as_it_was(make_model):
    model = make_model(dropout=0.5).train()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    verify_model(model)
    assert model.training and torch.equal(torch.rand(2), expected)


class Mixing(nn.Module):
    """A layer in place of the MLP, which does to (B, T, C) what it is told."""

    def __init__(self, mix):
        super().__init__()
        self.mix = mix

    def forward(self, x):
        return self.mix(x)


@pytest.mark.parametrize(
    ("mix", "sentence"),
    [
        (lambda x: x.roll(-1, dims=1), "change with the tokens from place .* on, which come later"),
        (lambda x: x.mean(dim=1, keepdim=True).expand_as(x), "let no part of the model look ahead"),
        (lambda x: x.flip(0), "depend on the other texts of its batch"),
        (lambda x: x[:, :1].log(), "Some logits are not finite"),
        (lambda x: x.sum(dim=2, keepdim=True).expand_as(x) / 0, "Some logits are not finite"),
    ],
)
def test_a_layer_that_looks_where_it_must_not_is_named(make_model, mix, sentence):
    with pytest.raises(UserError, match=sentence):
        verify_model(make_model(factories={"mlp": lambda config: Mixing(mix)}))


def test_a_layer_that_looks_back_is_allowed_and_written_without_a_cache(make_model):
    verify_model(make_model(factories={"mlp": lambda config: Mixing(lambda x: x.cumsum(dim=1))}))


def test_a_wrong_shape_is_named(make_model):
    class Headless(GPT):
        def forward(self, ids, cache=None):
            return super().forward(ids)[:, -1]

    with pytest.raises(UserError, match=r"the model returns \(2, 27\), not \(2, 8, 27\)"):
        verify_model(Headless(make_model(vocab_size=27).config))


def test_a_position_that_forgets_where_it_starts_is_named(make_model):
    class Forgetful(LearnedPositionEmbedding):
        def forward(self, x, start=0):
            return super().forward(x)

    position = {"position": lambda config: Forgetful(config.block_size, config.n_embd)}
    with pytest.raises(UserError, match="a position has to count from `offset` on"):
        verify_model(make_model(factories=position))


class Lossy(CharTokenizer):
    def encode(self, text):
        return super().encode(text.replace("é", "e"))


class Beyond(CharTokenizer):
    def encode(self, text):
        return [id + 1 for id in super().encode(text)]


class WrongBytes(CharTokenizer):
    def token_bytes(self, id):
        return b"?"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Lossy, "Lossy turns 'é, and again', at place 3, into 'e, and again'"),
        (Beyond, "Beyond gives the id 11; ids are whole numbers from 0 to 10"),
        (WrongBytes, "The token_bytes of WrongBytes do not add up"),
    ],
)
def test_a_tokenizer_that_loses_something_is_named(kind, sentence):
    letters = "".join(sorted(set(SENTENCE) | {"e"}))
    with pytest.raises(UserError, match=sentence):
        verify(kind(letters), SENTENCE)


class Filtering(Sampler):
    def process_logits(self, logits, seen):
        return torch.full_like(logits, -math.inf)


class Shortening(Sampler):
    def process_logits(self, logits, seen):
        return logits[:, :3]


class Disobedient(Sampler):
    def process_logits(self, logits, seen):
        return logits.masked_fill(torch.arange(logits.size(-1)) > 0, -math.inf)

    def sample(self, logits, seen, generator=None):
        return torch.tensor([1, 1])


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Filtering, "Filtering.process_logits leaves no token that can be drawn"),
        (Shortening, r"Shortening.process_logits returns the shape \(2, 3\) for logits of \(2, 20\)"),
        (Disobedient, "Disobedient.sample draws a token that its process_logits rules out"),
    ],
)
def test_a_sampler_that_breaks_its_word_is_named(kind, sentence):
    with pytest.raises(UserError, match=sentence):
        verify_sampler(kind(), 20)
