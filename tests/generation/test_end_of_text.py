"""Where a text begins and ends by itself, and ids that stand for no token."""

import pytest
import torch

from minigpt import BPETokenizer, CharTokenizer, UserError, generate, generate_batch, generate_stream
from minigpt.app.jobs import run_request
from minigpt.app.requests import Limits, read_request
from minigpt.generation.generate import MAX_SPARE_IDS, end_of_text_id

BYTES = [bytes([value]) for value in range(256)]
END = "<|endoftext|>"


@pytest.fixture
def subwords() -> BPETokenizer:
    return BPETokenizer(BYTES, [END])


@pytest.fixture
def ending(make_model, subwords):
    """A model that likes to end a text: it draws `<|endoftext|>` about every fourth time."""
    model = make_model(vocab_size=subwords.vocab_size, lm_head_bias=True)
    torch.nn.init.normal_(model.lm_head.bias, std=0.1)
    model.lm_head.weight.data.mul_(0.1)
    model.lm_head.bias.data[end_of_text_id(subwords)] = 4.5
    return model


def app_text(model, tokenizer, prompt: str, n: int, seed: int) -> str:
    """Return what the page writes, and look at what it says at the end."""
    request = read_request(Limits(), prompt, temperature=1.0, max_new_tokens=n, seed=seed)
    *_, last = run_request(model, tokenizer, request, seconds=1e6)
    assert last.finished and "It ended there" not in last.status
    return last.texts[0]


def test_a_text_ends_at_the_tokenizers_own_end(ending, subwords):
    lengths = set()
    for seed in range(8):
        endless = generate(ending, subwords, "ab", max_new_tokens=30, seed=seed, eos_id=-1)
        expected = "ab" + endless.removeprefix("ab").split(END)[0]
        lengths.add(len(expected))
        assert generate(ending, subwords, "ab", max_new_tokens=30, seed=seed) == expected
        named = end_of_text_id(subwords)
        assert generate(ending, subwords, "ab", max_new_tokens=30, seed=seed, eos_id=named) == expected
        pieces = generate_stream(ending, subwords, "ab", max_new_tokens=30, seed=seed)
        assert "ab" + "".join(pieces) == expected == "ab" + app_text(ending, subwords, "ab", 30, seed)
    assert len(lengths) > 1
    together = generate_batch(ending, subwords, ["ab", "a", "abc"], max_new_tokens=30, seed=0)
    alone = [generate(ending, subwords, text, max_new_tokens=30, seed=i) for i, text in enumerate(["ab", "a", "abc"])]
    assert together == alone and not any(END in text for text in together)


def test_an_empty_prompt_begins_where_a_text_begins(ending, subwords):
    seen = []
    ending.token_embedding.register_forward_pre_hook(lambda _, given: seen.append(given[0].tolist()))
    text = generate(ending, subwords, "", max_new_tokens=20, seed=1)
    assert seen[0] == [[end_of_text_id(subwords)]]
    assert text == "".join(generate_stream(ending, subwords, "", max_new_tokens=20, seed=1))
    assert text == app_text(ending, subwords, "", 20, 1)
    assert generate_batch(ending, subwords, ["", "ab"], max_new_tokens=20, seed=1)[0] == text


def test_a_tokenizer_without_an_end_has_none(model, tokenizer):
    assert end_of_text_id(tokenizer) is None
    assert len(generate(model, tokenizer, "a", max_new_tokens=30, seed=1)) == 31
    with pytest.raises(UserError, match="The prompt is empty; give the model at least one character"):
        generate_batch(model, tokenizer, ["a", ""])


@pytest.mark.parametrize("eos_id", [-2, 1.5, "end", True])
def test_what_is_no_end_is_named(model, tokenizer, eos_id):
    with pytest.raises(UserError, match="eos_id = "):
        generate(model, tokenizer, "a", eos_id=eos_id)


@pytest.mark.parametrize("prompt", [["a", "b"], 3, None, b"a"])
def test_a_prompt_that_is_no_text_is_named(model, tokenizer, prompt):
    with pytest.raises(UserError, match="The prompt is of type .*, not a text; several go to generate_batch"):
        generate(model, tokenizer, prompt)


@pytest.mark.parametrize("size", [4, 64, 128, 3 + MAX_SPARE_IDS])
@pytest.mark.parametrize("temperature", [0, 5.0])
def test_ids_without_a_token_are_never_drawn(make_model, size, temperature):
    tokenizer = CharTokenizer("abc")
    model = make_model(vocab_size=size, lm_head_bias=True)
    model.lm_head.bias.data[3:] += 20  # they would always be drawn
    options = {"max_new_tokens": 40, "temperature": temperature, "seed": 2}
    text = generate(model, tokenizer, "ab", **options)
    assert len(text) == 42 and set(text) <= set("abc")
    assert text == "ab" + "".join(generate_stream(model, tokenizer, "ab", **options))
    assert generate_batch(model, tokenizer, ["ab", "c"], **options)[0] == text
    if temperature:
        assert len(app_text(model, tokenizer, "ab", 40, 2)) == 40


@pytest.mark.parametrize(("known", "size"), [("abc", 4 + MAX_SPARE_IDS), ("a", 500)])
def test_a_tokenizer_that_knows_too_few_ids_is_anothers(make_model, known, size):
    model = make_model(vocab_size=size)
    for write in (generate, lambda *given: generate_batch(given[0], given[1], [given[2]]), generate_stream):
        with pytest.raises(UserError, match=rf"has {size} ids and this tokenizer only {len(known)} tokens; use"):
            write(model, CharTokenizer(known), "a")
