"""Generation: what is drawn, what is seen, and where it stops."""

import gc

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comparing import one_text
from minigpt import (
    GPT,
    CausalSelfAttention,
    CharTokenizer,
    Sampler,
    UserError,
    generate,
    generate_stream,
    naive_attention,
)
from minigpt.generation.generate import (
    CachedDecoder,
    apply_stop_strings,
    next_token_logits,
    supports_kv_cache,
)


def pieces_of(text: str, borders: list[int]) -> list[str]:
    """Cut a text at some places."""
    places = [0, *sorted(min(border, len(text)) for border in borders), len(text)]
    return [text[start:end] for start, end in zip(places, places[1:], strict=False)]


LETTERS = st.text("ab", max_size=30)
STOPS = st.text("ab", min_size=1, max_size=4)
BORDERS = st.lists(st.integers(0, 30), max_size=30)
MANY = settings(max_examples=300)


@MANY
@given(LETTERS, STOPS, BORDERS)
@example("aaab", "aab", [1, 2, 3])
@example("ababac", "abac", [1, 2, 3, 4, 5])
def test_the_text_ends_before_the_stop_wherever_the_pieces_end(text, stop, borders):
    passed_on = list(apply_stop_strings(iter(pieces_of(text, borders)), [stop]))
    assert "".join(passed_on) == text.split(stop)[0]
    assert all(passed_on), "no piece is empty"


@MANY
@given(LETTERS, st.lists(STOPS, max_size=4), BORDERS)
@example("abb", ["abb", "b"], [])
@example("abb", ["abb", "b"], [1, 2])
def test_of_several_stops_the_one_that_is_complete_first_counts(text, stops, borders):
    complete = [end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    expected = text
    if complete:
        longest = max(len(stop) for stop in stops if text[: complete[0]].endswith(stop))
        expected = text[: complete[0] - longest]
    assert "".join(apply_stop_strings(iter(pieces_of(text, borders)), stops)) == expected


@given(LETTERS, STOPS)
def test_no_more_is_held_back_than_could_begin_a_stop(text, stop):
    taken = []

    def watched():
        for character in text:
            taken.append(character)
            yield character

    shown = ""
    for piece in apply_stop_strings(watched(), [stop]):
        shown += piece
        assert len(taken) - len(shown) < len(stop)


def test_nothing_more_is_drawn_after_the_stop():
    source = iter("abcdef")
    assert list(apply_stop_strings(source, ["c"])) == ["a", "b"]
    assert next(source) == "d"


def greedy_by_hand(model, ids: list[int], n: int) -> list[int]:
    for _ in range(n):
        logits = model(torch.tensor([ids[-model.config.block_size :]]))
        ids = [*ids, int(logits[0, -1].argmax())]
    return ids[-n:]


def test_greedy_is_the_argmax_over_a_sliding_window(model):
    ids = [1, 2, 3]
    found = one_text(model, ids, Sampler(temperature=0), 20)
    assert found == greedy_by_hand(model, ids, 20)
    assert len(set(found)) > 1


@pytest.mark.parametrize("changes", [{}, {"position": "rope", "n_kv_head": 1}, {"position": "alibi"}])
def test_a_model_reads_every_token_once_while_they_fit(make_model, changes):
    model = make_model(**changes)
    read = []
    model.token_embedding.register_forward_hook(lambda module, inputs, output: read.append(inputs[0].size(1)))
    found = one_text(model, [1, 2, 3], Sampler(temperature=0), 8)
    assert read == [3, 1, 1, 1, 1, 1, 8, 8]  # then the window slides, and every token has another place
    assert found == greedy_by_hand(model, [1, 2, 3], 8)


@pytest.mark.parametrize(("size", "room"), [(1, 1), (5, 5), (8, 8), (10**9, 8)])
def test_a_cache_has_room_for_the_tokens_that_can_come_and_no_more(make_model, size, room):
    model = make_model(n_kv_head=1)
    assert [layer.keys.size(-2) for layer in CachedDecoder(model, size).kv_cache] == [room] * model.config.n_layer


def test_a_model_with_a_formula_of_the_readers_own_is_read_without_a_cache(make_model):
    def formula(q, k, v):
        assert q.size(-2) == k.size(-2)
        return naive_attention(q, k, v)

    own = make_model(
        factories={"attention": lambda config: CausalSelfAttention(config.n_embd, config.n_head, attn_impl=formula)}
    )
    assert not supports_kv_cache(own) and supports_kv_cache(make_model())
    ids = [1, 2, 3]
    assert one_text(own, ids, Sampler(temperature=0), 9) == greedy_by_hand(make_model(), ids, 9)


def test_what_a_model_of_another_kind_needs_is_its_block_size(make_model):
    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make_model()
            self.config = self.inner.config

        def forward(self, ids):
            return self.inner(ids)

    assert one_text(Wrapped(), [1], Sampler(temperature=0), 9) == greedy_by_hand(make_model(), [1], 9)


def test_a_long_prompt_is_seen_from_its_end(model, tokenizer, text):
    settings = {"max_new_tokens": 6, "temperature": 0}
    long = generate(model, tokenizer, text[:50], **settings)
    short = generate(model, tokenizer, text[42:50], **settings)
    assert long == text[:42] + short


def test_every_earlier_token_is_penalised_not_only_the_window(model):
    seen_lengths = []

    class Watcher(Sampler):
        def process_logits(self, logits, seen):
            seen_lengths.append(seen.size(-1))
            return super().process_logits(logits, seen)

    one_text(model, list(range(12)), Watcher(), 3)
    assert seen_lengths == [12, 13, 14]


def test_the_same_seed_gives_the_same_text(model, tokenizer):
    texts = [generate(model, tokenizer, "a", max_new_tokens=40, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_seed_leaves_the_global_generator_alone(model, tokenizer):
    before = torch.get_rng_state()
    generate(model, tokenizer, "a", max_new_tokens=5, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_seeded_streams_do_not_disturb_each_other(model, tokenizer):
    alone = "".join(generate_stream(model, tokenizer, "a", max_new_tokens=20, seed=1))
    first = generate_stream(model, tokenizer, "a", max_new_tokens=20, seed=1)
    second = generate_stream(model, tokenizer, "a", max_new_tokens=20, seed=2)
    together = "".join(piece for piece, _ in zip(first, second, strict=True))
    assert together == alone


def test_without_a_seed_the_global_generator_draws(model, tokenizer):
    torch.manual_seed(3)
    first = generate(model, tokenizer, "a", max_new_tokens=30)
    second = generate(model, tokenizer, "a", max_new_tokens=30)
    torch.manual_seed(3)
    assert generate(model, tokenizer, "a", max_new_tokens=30) == first != second


@pytest.mark.parametrize("n", [0, 1, 17])
def test_as_many_tokens_as_asked_for(model, tokenizer, n):
    assert len(list(generate_stream(model, tokenizer, "a", max_new_tokens=n, seed=0))) == n
    assert len(generate(model, tokenizer, "at", max_new_tokens=n, seed=0)) == 2 + n


def test_generate_is_the_prompt_and_the_stream(model, tokenizer):
    settings = {"temperature": 0.9, "top_k": 5, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.1}
    for keywords in (settings, {"sampler": Sampler(**settings)}):
        whole = generate(model, tokenizer, "a s", max_new_tokens=30, seed=4, **keywords)
        pieces = generate_stream(model, tokenizer, "a s", max_new_tokens=30, seed=4, sampler=Sampler(**settings))
        assert whole == "a s" + "".join(pieces)
    warm = generate_stream(model, tokenizer, "a s", max_new_tokens=30, seed=4, temperature=0.9)
    assert generate(model, tokenizer, "a s", max_new_tokens=30, seed=4, temperature=0.9) == "a s" + "".join(warm)


def test_a_stop_string_cuts_the_same_text_short(model, tokenizer):
    whole = "".join(generate_stream(model, tokenizer, "a", max_new_tokens=60, seed=1))
    for stop in (whole[7:9], [whole[20:23], whole[7:9]], ["", whole[30]], whole[0]):
        stops = [stop] if isinstance(stop, str) else [one for one in stop if one]
        expected = min((whole.split(one)[0] for one in stops), key=len)
        assert "".join(generate_stream(model, tokenizer, "a", max_new_tokens=60, seed=1, stop=stop)) == expected
    assert "".join(generate_stream(model, tokenizer, "a", max_new_tokens=60, seed=1, stop="")) == whole


def test_a_stop_string_in_the_prompt_does_not_count(model, tokenizer):
    assert len(generate(model, tokenizer, "a", max_new_tokens=1, temperature=0, stop="aa")) == 2


@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_put_back(make_model, tokenizer, training):
    model = make_model(dropout=0.5).train(training)
    texts = [generate(model, tokenizer, "a", max_new_tokens=10, temperature=0) for _ in range(2)]
    assert texts[0] == texts[1], "dropout is off while a model writes"
    assert model.training is training
    pieces = generate_stream(model, tokenizer, "a", max_new_tokens=10)
    next(pieces)
    del pieces
    gc.collect()
    assert model.training is training
    whole = generate(model, tokenizer, "a", max_new_tokens=10, temperature=0)
    generate(model, tokenizer, "a", max_new_tokens=10, temperature=0, stop=whole[4])
    assert model.training is training


def test_no_gradient_is_kept(model, tokenizer):
    generate(model, tokenizer, "a", max_new_tokens=3)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("prompt", "settings", "message"),
    [
        ("", {}, "The prompt is empty"),
        ("aé", {}, r"The prompt: The character 'é' \(U\+00E9\) at place 1"),
        ("a", {"max_new_tokens": -1}, "max_new_tokens = -1 must not be negative"),
        ("a", {"temperature": -1}, "temperature = -1 must be"),
        ("a", {"seed": -1}, "seed = -1 must be"),
        ("a", {"seed": 2**64}, "seed = 18446744073709551616 must be"),
    ],
)
def test_a_mistake_shows_before_the_first_token(model, tokenizer, prompt, settings, message):
    with pytest.raises(UserError, match=message):
        generate_stream(model, tokenizer, prompt, **settings)


def test_a_tokenizer_that_knows_fewer_tokens_is_named(make_model):
    with pytest.raises(UserError, match="use the model's own tokenizer"):
        generate(make_model(vocab_size=200), CharTokenizer("a"), "a", max_new_tokens=50, seed=0)


def test_a_model_that_is_watched_or_computes_in_its_own_way_is_called(make_model):
    class Louder(GPT):
        def forward(self, ids, cache=None):
            called.append(ids.size(1))
            return 2 * super().forward(ids, cache)

    called = []
    plain, watched = make_model(), make_model()
    watched.register_forward_pre_hook(lambda _, given: called.append(given[0].size(1)))
    expected = one_text(plain, [1, 2], Sampler(temperature=0), 3)
    assert called == []
    assert one_text(watched, [1, 2], Sampler(temperature=0), 3) == expected
    assert called == [2, 1, 1]
    louder = Louder(plain.config)
    louder.load_state_dict(plain.state_dict())
    assert one_text(louder, [1, 2], Sampler(temperature=0), 3) == expected
    assert called == [2, 1, 1] * 2


def test_the_head_reads_the_last_place_only(model):
    ids, seen = torch.arange(6).unsqueeze(0), []
    model.lm_head.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    last = next_token_logits(model, ids)
    assert seen == [(1, model.config.n_embd)]
    torch.testing.assert_close(last, model(ids)[:, -1])
