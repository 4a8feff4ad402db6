"""N-grams against the textbook: Kneser–Ney written with dictionaries, and the losses that it has on known texts."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import CharTokenizer, Sampler, UserError, load_corpus, load_foundation, split_text
from minigpt.evaluation import ngram
from minigpt.evaluation.ngram import NGram, modified_discounts

V = 4  # of which a text may hold fewer
ids = st.lists(st.integers(0, V - 1), min_size=6, max_size=60)
contexts = st.lists(st.integers(0, V - 1), max_size=8)
orders = st.integers(1, 5)
discounts = st.floats(0.01, 1) | st.just("modified")


def textbook(text: list[int], order: int, vocab_size: int, discount: float | str):
    """The formula of Chen and Goodman (1999), n-gram by n-gram: a function of a context and a token."""
    seen = {k: Counter(tuple(text[i : i + k]) for i in range(len(text) - k + 1)) for k in range(1, order + 1)}
    counts = {order: seen[order]}
    for k in range(1, order):
        before = defaultdict(set)
        for gram in seen[k + 1]:
            before[gram[1:]].add(gram[0])
        counts[k] = Counter({gram: len(tokens) for gram, tokens in before.items()})
    taken = {}
    for k in counts:
        of_counts = Counter(counts[k].values())
        n1, n2, n3, n4 = (of_counts[n] for n in (1, 2, 3, 4))
        taken[k] = [discount] * 3
        if discount == "modified":
            taken[k] = [0.75] * 3
            if n1 * n2 * n3 * n4:
                y = n1 / (n1 + 2 * n2)
                estimated = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
                taken[k] = estimated if min(estimated) > 0 else taken[k]

    def probability(context: tuple[int, ...], token: int) -> float:
        if len(context) >= order:
            return probability(context[len(context) - order + 1 :], token)
        k = len(context) + 1
        shorter = probability(context[1:], token) if k > 1 else 1 / vocab_size
        followers = [counts[k][(*context, each)] for each in range(vocab_size)]
        total = sum(followers)
        if total == 0:
            return shorter
        count = counts[k][(*context, token)]
        kept = count - taken[k][min(count, 3) - 1] if count else 0
        return kept / total + sum(taken[k][min(each, 3) - 1] for each in followers if each) / total * shorter

    return probability


@given(ids, orders, discounts, contexts)
def test_it_is_the_textbook_s(text, order, discount, context):
    model = NGram.fit(text, order, V, discount)
    probability = textbook(text, order, V, discount)
    expected = [probability(tuple(context), token) for token in range(V)]
    np.testing.assert_allclose(model.predict(context), expected, rtol=1e-9)


@given(ids, orders, discounts, contexts)
def test_probabilities_are_above_zero_and_sum_to_one_after_any_context(text, order, discount, context):
    probabilities = NGram.fit(text, order, V + 3, discount).predict(context)
    assert probabilities.shape == (V + 3,)
    assert probabilities.min() > 0
    assert probabilities.sum() == pytest.approx(1)


@given(ids, orders, discounts, contexts)
def test_the_log_probabilities_of_a_text_are_those_of_its_tokens_one_by_one(text, order, discount, read):
    model = NGram.fit(text, order, V, discount)
    expected = [math.log(model.predict(read[:i])[token]) for i, token in enumerate(read)]
    np.testing.assert_allclose(model.log_prob(read), expected, atol=1e-12)
    for skip in range(len(read)):
        assert model.loss(read, skip) == pytest.approx(-sum(expected[skip:]) / len(expected[skip:]))


@given(ids, orders, st.integers(1, 5))
def test_it_counts_the_same_however_many_tokens_fit_into_an_integer(text, order, n_fit):
    tokens = np.array(text)
    whole, in_parts = ngram._count(tokens, order, V), ngram._count(tokens, order, V, largest=V**n_fit)
    for ours, theirs in zip((*whole[0], *whole[1]), (*in_parts[0], *in_parts[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(ids, orders, contexts)
def test_n_grams_that_no_integer_holds_are_counted_too(text, order, context):
    large = 10**6  # whose fifth power is beyond 64 bits
    spread = [id * 300_000 for id in text]
    small = NGram.fit(text, order, V).predict(context)
    wide = NGram.fit(spread, order, large).predict([id * 300_000 for id in context])
    used = wide[::300_000][:V]
    uniform = wide[1]  # what reaches a token that is not in the text
    np.testing.assert_allclose(used - uniform, small - uniform * large / V, atol=1e-9)


@given(ids, orders, discounts)
def test_a_saved_model_is_the_same(tmp_path_factory, text, order, discount):
    path = tmp_path_factory.mktemp("ngram") / "model.npz"
    model = NGram.fit(text, order, V, discount)
    model.save(path)
    loaded = NGram.load(path)
    assert (loaded.order, loaded.vocab_size, loaded.n_grams) == (order, V, model.n_grams)
    np.testing.assert_array_equal(loaded.log_prob(text), model.log_prob(text))
    np.testing.assert_array_equal(loaded.discounts, model.discounts)


@given(st.data())
def test_a_damaged_file_is_found_out(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("ngram") / "model.npz"
    text = [0, 1, 2, 3, 3, 1, 0, 2] * 3
    model = NGram.fit(text, 3, V)
    model.save(path)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content if data.draw(st.booleans()) else content[:place])
    try:
        loaded = NGram.load(path)
    except UserError as error:
        assert "is damaged or holds no n-gram model" in str(error)
    else:  # a byte that says nothing of the arrays, such as one of a date
        np.testing.assert_array_equal(loaded.log_prob(text), model.log_prob(text))


def test_a_save_that_fails_leaves_the_earlier_file(tmp_path, full_disk):
    path = tmp_path / "model.npz"
    NGram.fit([0, 1] * 5, 2, V).save(path)
    before = path.read_bytes()
    text = np.random.default_rng(0).integers(0, V, 5000)
    with full_disk(20_000), pytest.raises(UserError, match="cannot be written"):
        NGram.fit(text, 6, V).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_ids_may_be_a_list_an_array_or_a_tensor_of_bytes():
    text = [0, 1, 2, 3, 1, 1, 0, 2, 3]
    expected = NGram.fit(text, 3, V).log_prob(text)
    for each in (np.array(text, np.uint16), torch.tensor(text), torch.tensor(text, dtype=torch.uint8)):
        np.testing.assert_array_equal(NGram.fit(each, 3, V).log_prob(each), expected)


def test_bigrams_by_hand():
    model = NGram.fit([0, 1, 0, 2, 0, 1], 2, V, discount=0.5)
    # After 0 stand 1, 2 and 1. Before 0 stand 1 and 2; before 1, and before 2, stands 0: 2, 1, 1 of 4.
    unigrams = np.array([1.5, 0.5, 0.5, 0.0]) / 4 + 1.5 / 4 / V
    np.testing.assert_allclose(model.predict([0]), np.array([0, 1.5, 0.5, 0]) / 3 + 1 / 3 * unigrams)
    np.testing.assert_allclose(model.predict([]), unigrams)
    np.testing.assert_allclose(model.predict([3]), unigrams)
    assert model.n_grams == (3, 4)


def test_the_discounts_of_chen_and_goodman():
    counts = [1] * 8 + [2] * 4 + [3] * 2 + [4] + [9]
    y = 8 / 16
    assert modified_discounts(counts) == pytest.approx([1 - 2 * y * 4 / 8, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2])
    assert modified_discounts([1, 2, 3]) == [0.75] * 3  # nothing occurs four times
    assert modified_discounts([1] + [2] * 9 + [3] * 400 + [4]) == [0.75] * 3  # 2 - 3 y n3 / n2 is below 0


@given(ids, orders, st.integers(0, 20), st.integers(0, 10))
def test_the_same_seed_generates_the_same_text(text, order, max_new_tokens, seed):
    model = NGram.fit(text, order, V)
    first, again = (model.generate(text[:2], max_new_tokens, seed=seed) for _ in range(2))
    assert first == again
    assert first[:2] == text[:2] and len(first) == 2 + max_new_tokens and set(first) <= set(range(V))


@given(ids, orders)
def test_a_greedy_sampler_takes_the_likeliest_token(text, order):
    model = NGram.fit(text, order, V)
    written = model.generate([], 6, Sampler(temperature=0))
    for i, token in enumerate(written):
        probabilities = model.predict(written[:i])
        assert probabilities[token] == pytest.approx(probabilities.max())


def test_tokens_are_drawn_as_often_as_they_are_likely():
    model = NGram.fit([0, 1, 0, 2, 0, 1, 0, 3, 0], 2, V)
    drawn = np.bincount([model.generate([0], 1, seed=seed)[1] for seed in range(1000)], minlength=V) / 1000
    np.testing.assert_allclose(drawn, model.predict([0]), atol=0.05)
    penalised = model.generate([0], 200, Sampler(repetition_penalty=1.3, top_k=2), seed=0)
    assert len(penalised) == 201


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: NGram.fit([0, 1], 0, V), "order = 0 must be at least 1."),
        (lambda: NGram.fit([0, 1], 1, 0), "vocab_size = 0 must be at least 1."),
        (lambda: NGram.fit([0, 1], 1, 2**63), "vocab_size = 9223372036854775808 is out of range"),
        (lambda: NGram.fit([0, 1], 1, V, 0.0), "discount = 0.0 must be above 0"),
        (lambda: NGram.fit([0, 1], 1, V, math.nan), "discount = nan must be above 0"),
        (lambda: NGram.fit([0, 1], 1, V, "none"), "discount = 'none' must be a number above 0"),
        (lambda: NGram.fit([0, 1], 3, V), "A text of 2 tokens has no n-gram of order 3"),
        (lambda: NGram.fit([], 1, V), "A text of 0 tokens has no n-gram of order 1"),
        (lambda: NGram.fit([0, V], 1, V), "Token id 4 is outside the vocabulary, 0 to 3"),
        (lambda: NGram.fit([0.5, 1.0], 1, V), "Token ids are whole numbers, not of type float64"),
        (lambda: NGram.fit("ab", 1, V), "Token ids are whole numbers, not of type <U2"),
        (lambda: NGram.fit(torch.zeros(2, 2).long(), 1, V), "have the shape (2, 2), not (N,)"),
        (lambda: NGram.fit([0, 1], 2, V).predict([-1]), "Token id -1 is outside the vocabulary"),
        (lambda: NGram.fit([0, 1], 2, V).log_prob([9]), "Token id 9 is outside the vocabulary"),
        (lambda: NGram.fit([0, 1], 2, V).loss([0, 1]), "A text of 2 tokens without its first 2 has nothing to predict"),
        (lambda: NGram.fit([0, 1], 2, V).loss([0, 1], -1), "skip = -1 must not be negative."),
        (lambda: NGram.fit([0, 1], 2, V).generate([7], 1), "Token id 7 is outside the vocabulary"),
        (lambda: NGram.fit([0, 1], 2, V).generate([0], -1), "max_new_tokens = -1 must not be negative."),
        (lambda: NGram.fit([0, 1], 2, V).generate([0], 1, seed=-1), "seed = -1 must be a whole number"),
        (lambda: NGram.fit([0, 1], 2, V).save("/no such folder/m.npz"), "cannot be written"),
        (lambda: NGram.load("/no such folder/m.npz"), "does not exist; check the path."),
        (lambda: NGram.load(__file__), "is damaged or holds no n-gram model"),
    ],
)
def test_bad_input_is_named_in_one_sentence(act, says):
    with pytest.raises(UserError) as raised:
        act()
    assert says in str(raised.value) and str(raised.value).endswith(".")


@pytest.fixture(scope="module")
def tiny_shakespeare():
    try:
        text = load_corpus("tinyshakespeare").text
    except UserError as error:
        pytest.skip(str(error))
    tokenizer = CharTokenizer.from_text(text)
    return split_text(text, tokenizer), tokenizer.vocab_size


@pytest.mark.slow
@pytest.mark.parametrize(("order", "nats"), [(2, 2.4839), (5, 1.5663), (6, 1.5385), (7, 1.5470)])
def test_the_losses_on_tiny_shakespeare(tiny_shakespeare, order, nats):
    split, vocab_size = tiny_shakespeare
    assert NGram.fit(split.train, order, vocab_size).loss(split.validation) == pytest.approx(nats, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("order", [5, 6, 7])
def test_three_discounts_are_better_than_one(tiny_shakespeare, order):
    split, vocab_size = tiny_shakespeare
    one, three = (NGram.fit(split.train, order, vocab_size, each).loss(split.validation) for each in (0.75, "modified"))
    assert three < one - 0.004


@pytest.mark.slow
@pytest.mark.parametrize(("order", "nats"), [(6, 1.4231), (8, 1.3673)])
def test_the_losses_on_the_foundation(order, nats):
    try:
        foundation = load_foundation(progress=False)
    except UserError as error:
        pytest.skip(str(error))
    split, vocab_size = foundation.split, foundation.tokenizer.vocab_size
    assert NGram.fit(split.train, order, vocab_size).loss(split.validation) == pytest.approx(nats, abs=5e-4)
