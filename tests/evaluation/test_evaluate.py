"""Evaluation: every token counts once, whatever the windows and batches."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minigpt import BPETokenizer, CharTokenizer, EvalResult, UserError, cross_entropy, evaluate


class Unigram(nn.Module):
    """A model whose prediction is the same everywhere, and which remembers what it was asked."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.linspace(-2, 2, vocab_size))
        self.inputs: list[torch.Tensor] = []

    def forward(self, ids):
        self.inputs.append(ids)
        return self.logits.expand(*ids.shape, -1)


def one_token_at_a_time(model, ids: torch.Tensor, block_size: int) -> float:
    """The slow, plain way: for each token, the window up to it, and the last prediction."""
    losses = []
    for place in range(1, len(ids)):
        start = (place - 1) // block_size * block_size
        logits = model(ids[start:place].unsqueeze(0))[0, -1].double()
        losses.append(-logits.log_softmax(0)[ids[place]].item())
    return sum(losses) / len(losses)


@pytest.mark.parametrize("n", [2, 8, 9, 10, 17, 30])
@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_the_loss_is_that_of_one_token_at_a_time(model, data, n, batch_size):
    ids = data.train[:n]
    with torch.no_grad():
        expected = one_token_at_a_time(model, ids, 8)
    found = evaluate(model, ids, 8, batch_size=batch_size)
    assert found.loss == pytest.approx(expected, abs=1e-5)
    assert found.n_tokens == n - 1


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(1, 20), st.integers(1, 5))
def test_every_token_but_the_first_counts_once(ids, block_size, batch_size):
    model = Unigram(5)
    found = evaluate(model, torch.tensor(ids), block_size, batch_size=batch_size, tokenizer=CharTokenizer("abcde"))
    surprises = -model.logits.detach().double().log_softmax(0)
    assert found.loss == pytest.approx(surprises[ids[1:]].mean().item(), abs=1e-5)
    assert found.n_tokens == found.n_characters == len(ids) - 1
    assert sum(inputs.numel() for inputs in model.inputs) == len(ids) - 1
    assert all(inputs.size(1) <= block_size and inputs.size(0) <= batch_size for inputs in model.inputs)


@given(n=st.integers(2, 100), block_size=st.integers(1, 10), max_windows=st.integers(1, 30))
def test_some_windows_are_spread_evenly(n, block_size, max_windows):
    model = Unigram(n)
    found = evaluate(model, torch.arange(n), block_size, max_windows=max_windows)
    starts = sorted(row[0].item() for inputs in model.inputs for row in inputs)
    in_all = math.ceil((n - 1) / block_size)
    assert len(starts) == len(set(starts)) == min(max_windows, in_all)
    assert all(start % block_size == 0 for start in starts)
    if max_windows < in_all:
        assert found.n_tokens == max_windows * block_size, "no short window among them"
        gaps = {after - before for before, after in zip(starts, starts[1:], strict=False)}
        assert starts[0] == 0 and (not gaps or max(gaps) - min(gaps) <= block_size)
        assert n - starts[-1] <= block_size * (1 + math.ceil((in_all - 1) / max_windows)) + 1


def test_perplexity_and_bits():
    found = EvalResult(loss=math.log(65), n_tokens=10, n_characters=20, n_bytes=25)
    assert found.perplexity == pytest.approx(65)
    assert found.bits_per_token == pytest.approx(math.log2(65))
    assert found.bits_per_character == pytest.approx(math.log2(65) / 2)
    assert found.bits_per_byte == pytest.approx(math.log2(65) / 2.5)
    assert str(found) == (
        "loss 4.1744 nats per token, perplexity 65.000, 3.011 bits per character (2.409 per byte), over 10 tokens"
    )
    assert "per character, over" in str(EvalResult(1.0, 10, 20, 20)), "in plain English the two are the same"
    assert str(EvalResult(0.5, 1000)) == "loss 0.5000 nats per token, perplexity 1.649, over 1,000 tokens"


def test_a_hopeless_loss_has_infinite_perplexity():
    assert EvalResult(1e6, 1).perplexity == math.inf
    assert EvalResult(699.0, 1).perplexity == pytest.approx(math.exp(699))


class Pairs:
    """A tokenizer whose every token stands for two characters."""

    def decode(self, ids):
        return "ab" * len(ids)


def test_characters_are_those_of_the_predicted_tokens(model, data):
    found = evaluate(model, data.train[:20], 8, tokenizer=Pairs())
    assert found.n_characters == 2 * 19
    assert found.bits_per_character == pytest.approx(found.loss / math.log(2) / 2)


def test_without_a_tokenizer_characters_and_bytes_are_not_known(model, data):
    found = evaluate(model, data.train[:20], 8)
    with pytest.raises(UserError, match="Pass tokenizer=… to evaluate, so that characters can"):
        _ = found.bits_per_character
    with pytest.raises(UserError, match="Pass tokenizer=… to evaluate, so that bytes can"):
        _ = found.bits_per_byte


def test_tokens_without_text_have_no_bits_per_byte():
    with pytest.raises(UserError, match="stand for no text, so there are no bits per byte"):
        _ = EvalResult(1.0, 2, 0, 0).bits_per_byte


@pytest.mark.parametrize("block_size", [1, 3, 8])
def test_bytes_are_exact_where_windows_cut_characters(block_size):
    text = "日本 🚀 né " * 5
    tokenizer = BPETokenizer([bytes([value]) for value in range(256)])
    ids = torch.tensor(tokenizer.encode(text))
    found = evaluate(Unigram(256), ids, block_size, tokenizer=tokenizer)
    assert (found.n_tokens, found.n_bytes) == (len(ids) - 1, len(text.encode()) - 1)
    assert found.n_characters == len(text) - 1, "the first token begins the first character, and is not predicted"
    assert found.bits_per_byte == pytest.approx(found.bits_per_token)


def test_a_text_costs_the_same_bits_per_byte_whatever_its_tokens_are():
    """A model that gives every character 1/4 is as good as one that gives every pair of characters 1/16."""
    text = "abba" * 6
    characters = CharTokenizer("abcd")
    uniform = [Unigram(size) for size in (4, 16)]
    for each in uniform:
        torch.nn.init.zeros_(each.logits)
    ids = torch.tensor([*characters.encode(text), 0])  # one more, since the first is not predicted
    single = evaluate(uniform[0], ids, 5, tokenizer=characters)
    pairs = evaluate(uniform[1], torch.zeros(len(text) // 2 + 1, dtype=torch.long), 5, tokenizer=Pairs())
    assert single.bits_per_byte == pytest.approx(2) and pairs.bits_per_byte == pytest.approx(2)
    assert single.loss != pytest.approx(pairs.loss)


def test_json_values_hold_what_follows_from_the_loss():
    found = EvalResult(math.log(8), 10, 20, 25)
    values = found.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    derived = ("perplexity", "bits_per_token", "bits_per_character", "bits_per_byte")
    assert [values[name] for name in derived] == pytest.approx([8, 3, 1.5, 1.2])
    assert {values["loss"], values["n_tokens"], values["n_bytes"]} == {math.log(8), 10, 25}
    hopeless = EvalResult(1e6, 1).to_dict()
    assert [hopeless[name] for name in derived[:1] + derived[2:]] == [None, None, None]


def test_cross_entropy_is_the_mean_surprise():
    logits, targets = torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3))
    expected = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()
    torch.testing.assert_close(cross_entropy(logits, targets), expected)


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_put_back_and_dropout_is_off(make_model, data, training):
    model = make_model(dropout=0.5).train(training)
    assert evaluate(model, data.train, 8) == evaluate(model, data.train, 8)
    assert model.training is training
    with pytest.raises(UserError):
        evaluate(model, data.train, 9)
    assert model.training is training


@pytest.mark.parametrize("n", [0, 1])
def test_a_text_with_nothing_to_predict_is_named(model, n):
    with pytest.raises(UserError, match=f"A text of {n} tokens has nothing to predict"):
        evaluate(model, torch.zeros(n, dtype=torch.long), 8)


@pytest.mark.parametrize("name", ["block_size", "batch_size", "max_windows"])
def test_a_wrong_size_is_named(model, data, name):
    with pytest.raises(UserError, match=f"{name} = 0 must be at least 1"):
        evaluate(model, data.train, **({"block_size": 8} | {name: 0}))


def test_evaluations_are_put_together_by_the_weight_of_their_predictions():
    parts = [EvalResult(1.0, 300, 300, 320), EvalResult(3.0, 100, 200, 200)]
    assert EvalResult.combine(parts) == EvalResult(1.5, 400, 500, 520)
    assert EvalResult.combine([*parts, EvalResult(1.5, 1)]).n_characters is None
    assert EvalResult.combine([*parts, EvalResult(1.5, 1, 1)]).n_bytes is None
    assert EvalResult.combine(parts[:1]) == parts[0]
