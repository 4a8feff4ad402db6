"""Texts written side by side are the texts written alone."""

import pytest
import torch

from comparing import one_text
from minigpt import CharTokenizer, Sampler, UserError, generate, generate_batch
from minigpt.generation.generate import generate_ids

GREEDY = Sampler(temperature=0)


@pytest.mark.parametrize("changes", [{}, {"position": "rope", "n_kv_head": 1}, {"position": "alibi"}])
def test_greedy_texts_are_those_written_alone(make_model, changes):
    model = make_model(**changes)
    ids = torch.randint(model.config.vocab_size, (4, 3), generator=torch.Generator().manual_seed(1))
    together = torch.stack(list(generate_ids(model, ids, GREEDY, 20)), dim=1)  # beyond the context of 8, too
    assert together.tolist() == [one_text(model, text, GREEDY, 20) for text in ids.tolist()]
    assert len({tuple(text) for text in together.tolist()}) > 1


def test_one_text_draws_as_it_does_alone(model):
    drawn = generate_ids(model, torch.tensor([[1, 2]]), Sampler(), 9, torch.Generator().manual_seed(3))
    alone = one_text(model, [1, 2], Sampler(), 9, torch.Generator().manual_seed(3))
    assert [int(each) for each in drawn] == alone


def test_texts_come_back_with_their_prompts(make_model):
    tokenizer = CharTokenizer.from_text("abcdefghijk")
    model = make_model(vocab_size=tokenizer.vocab_size)
    texts = generate_batch(model, tokenizer, ["ab", "cd"], max_new_tokens=7, temperature=0)
    assert texts == [generate(model, tokenizer, each, max_new_tokens=7, temperature=0) for each in ("ab", "cd")]
    assert generate_batch(model, tokenizer, ["ab"], max_new_tokens=0) == ["ab"]
    first, again = (generate_batch(model, tokenizer, ["ab", "ab"], seed=1) for _ in range(2))
    assert first == again and first[0] != first[1]


def test_a_model_in_training_goes_on_training(model):
    model.train()
    list(generate_ids(model, torch.tensor([[1], [2]]), GREEDY, 2))
    assert model.training


def test_prompts_that_cannot_be_continued_are_named(make_model):
    tokenizer = CharTokenizer.from_text("abc")
    model = make_model(vocab_size=tokenizer.vocab_size)
    wrong = (([], "no prompt"), (["ab", ""], "prompt is empty"), (["ab", "x"], "'x'"), (["a", 3], "of type int"))
    for prompts, message in (*wrong, ("ab", "a single text; put it into a list, or call generate")):
        with pytest.raises(UserError, match=message):
            generate_batch(model, tokenizer, prompts)
    for settings, message in (
        ({"max_new_tokens": -1}, "max_new_tokens"),
        ({"max_new_tokens": 2.5}, "max_new_tokens = 2.5 must be a whole number"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63 - 1}, "seed = 9223372036854775808 must"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 0.5, "sampler": Sampler()}, "A sampler was given, and temperature besides"),
    ):
        with pytest.raises(UserError, match=message):
            generate_batch(model, tokenizer, ["a", "b"], **settings)


def test_a_text_ends_at_its_last_token_and_the_others_go_on(make_model):
    tokenizer = CharTokenizer.from_text("abcdefghijk")
    model = make_model(vocab_size=tokenizer.vocab_size)
    whole = generate_batch(model, tokenizer, ["ab", "cd"], max_new_tokens=12, temperature=0)
    eos_id = tokenizer.encode(whole[0][4])[0]
    ended = generate_batch(model, tokenizer, ["ab", "cd"], max_new_tokens=12, temperature=0, eos_id=eos_id)
    end = tokenizer.decode([eos_id])
    assert ended == [text[:2] + text[2:].split(end)[0] for text in whole]
    assert ended[0] == generate(model, tokenizer, "ab", max_new_tokens=12, temperature=0, eos_id=eos_id)
