"""The byte-pair tokenizer: every text comes back, whatever it was trained on."""

import json
from functools import cache

import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError, checkpoint, evaluate, generate, load_tokenizer, split_text
from minigpt.generation.generate import incremental_decode
from minigpt.notebook.tokens import show_tokens
from minigpt.tokenizer.base import render_token
from minigpt.tokenizer.bpe import END_OF_TEXT
from minigpt.tokenizer.bpe_training import apply_merges
from minigpt.tokenizer.pretokenize import GPT2_SPLIT_PATTERN, compile_pattern, count_pretokens

# Without the places that Python's Unicode has not assigned yet: of those that a newer one has made letters, the package
# `regex`, which cuts words in training, may know more than the encoder in Rust, and then they cut differently.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cn"]))
TRAINING = "the cat sat on the mat, the cat's 1234 mats; naïve 日本 日本 🙂🙂 \n\n  the  end\n" * 3


@cache
def trained() -> BPETokenizer:
    return BPETokenizer.train(TRAINING, 290)


@pytest.fixture
def bpe() -> BPETokenizer:
    return trained()


@given(ANY_TEXT)
def test_decoding_undoes_encoding(text):
    tokenizer = trained()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text, allow_special=True)) == text


@given(st.lists(st.integers(0, 289)))
def test_any_ids_are_decoded_byte_by_byte(ids):
    tokenizer = trained()
    expected = b"".join(map(tokenizer.token_bytes, ids)).decode("utf-8", "replace")
    assert (
        tokenizer.decode(ids) == tokenizer.decode(iter(ids)) == tokenizer.decode(torch.tensor(ids).long()) == expected
    )


@pytest.mark.parametrize("wrong", [290, -1, 2**40])
def test_an_id_outside_the_vocabulary_is_named_wherever_it_stands(bpe, wrong):
    with pytest.raises(UserError, match=f"Token id {wrong} is outside the vocabulary, 0 to 289"):
        bpe.decode([65, wrong, 66])


@given(st.text(st.sampled_from(TRAINING + "xyz")))
def test_the_encoder_in_rust_is_merging_by_rank_word_by_word(text):
    tokenizer = trained()
    words = (match.group().encode() for match in compile_pattern(GPT2_SPLIT_PATTERN).finditer(text))
    expected = [tokenizer.ranks[piece] for word in words for piece in apply_merges(word, tokenizer.ranks)]
    assert tokenizer.encode(text) == expected


@given(st.lists(st.integers(0, 289)))
def test_any_ids_give_a_text_and_a_stream_gives_the_same(ids):
    tokenizer = trained()
    text = tokenizer.decode(ids)
    assert "".join(incremental_decode(tokenizer, ids)) == text
    with pytest.raises(UserError, match="Token id 290 is outside the vocabulary, 0 to 289"):
        tokenizer.decode([*ids, 290])


def test_a_stream_holds_back_half_a_character(bpe):
    ids = [*"🚀".encode(), 65]
    assert list(incremental_decode(bpe, ids)) == ["", "", "", "🚀", "A"]
    assert "".join(incremental_decode(bpe, ids[:2])) == "�"


def test_a_letter_newer_than_the_encoder_keeps_its_bytes():
    text = "A\U0003d000"  # which only the newest tables count as a letter
    tokenizer = BPETokenizer.train(text, 258)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(ANY_TEXT.filter(len), st.integers(0, 20))
def test_training_on_any_text(text, n_merges):
    try:
        tokenizer = BPETokenizer.train(text, 257 + n_merges)
    except UserError as error:
        most = int(str(error).split("at most ")[1].split()[0])
        tokenizer = BPETokenizer.train(text, most)
        assert len(tokenizer.encode(text)) == count_pretokens(text, [END_OF_TEXT]).total() or END_OF_TEXT in text
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert [tokenizer.encoding.decode_single_token_bytes(id) for id in range(tokenizer.vocab_size - 1)] == (
        tokenizer.tokens
    )


def test_fast_training_gives_the_same_tokenizer(bpe):
    pytest.importorskip("tokenizers")
    assert BPETokenizer.train(TRAINING, 290, fast=True).to_dict() == bpe.to_dict()


def test_a_space_belongs_to_the_word_after_it(bpe):
    assert b" the" in bpe.tokens and not any(token.strip() and token.endswith(b" ") for token in bpe.tokens)


def test_a_special_token_is_one_only_where_it_is_allowed(bpe):
    text = f"the end{END_OF_TEXT}the"
    assert 289 in bpe.encode(text, allow_special=True) and 289 not in bpe.encode(text)
    assert bpe.special_tokens == {END_OF_TEXT: 289}
    assert bpe.decode([289]) == END_OF_TEXT


def test_special_tokens_teach_no_merges():
    separated = END_OF_TEXT.join(["ab"] * 50)
    assert BPETokenizer.train(separated, 258).tokens[256:] == [b"ab"]


@given(st.integers(0, 30))
def test_a_saved_tokenizer_is_the_same(tmp_path_factory, n_merges):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    tokenizer = BPETokenizer.train(TRAINING, 258 + n_merges, special=(END_OF_TEXT, "<|user|>"))
    tokenizer.save(path)
    loaded = load_tokenizer(path)
    assert isinstance(loaded, BPETokenizer)
    assert loaded.to_dict() == tokenizer.to_dict()
    assert loaded.encode(TRAINING) == tokenizer.encode(TRAINING)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": None}, "list of texts 'tokens' is missing"),
        ({"tokens": [1]}, "list of texts 'tokens' is missing"),
        ({"special": "x"}, "list of texts 'special' is missing"),
        ({"pattern": None}, "text field 'pattern' is missing"),
        ({"pattern": "("}, "is not a valid regular expression"),
        ({"pattern": "[a-z]+"}, "passes over"),
        ({"tokens": ["a"]}, "lacks byte 0"),
        ({"tokens": [chr(i) for i in range(256)] + ["Ā"]}, "not written byte by byte"),
        ({"tokens": [chr(i) for i in range(256)] + ["ab", "ab"]}, "repeats"),
        ({"tokens": [chr(i) for i in range(256)] + [""]}, "empty token"),
        ({"special": [""]}, "special token needs a text"),
        ({"special": ["<x>", "<x>"]}, "repeats"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, bpe, changes, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(bpe.to_dict() | changes))
    with pytest.raises(UserError, match=rf"tokenizer\.json.*{message}"):
        load_tokenizer(path)


@pytest.mark.parametrize(
    ("text", "vocab_size", "settings", "message"),
    [
        ("abc", 256, {}, "vocab_size = 256 must be at least 257"),
        ("abc", 300, {}, "at most 259 is possible"),
        ("a ж", 300, {"pattern": "[^ж]"}, "passes over 1 characters"),
        ("a\ud800", 300, {}, "half of a surrogate pair, '.ud800', at place 1"),
    ],
)
def test_a_wrong_training_is_named(text, vocab_size, settings, message):
    with pytest.raises(UserError, match=message):
        BPETokenizer.train(text, vocab_size, **settings)


def test_half_a_surrogate_pair_is_named(bpe):
    with pytest.raises(UserError, match="half of a surrogate pair"):
        bpe.encode("ab\udfff")


def test_white_space_without_end_is_named(bpe):
    with pytest.raises(UserError, match="too long a run of white space"):
        bpe.encode(" " * 2_000_000 + "a")
    assert bpe.decode(bpe.encode("\n" * 100_000 + "a")) == "\n" * 100_000 + "a"


def test_a_vocabulary_can_be_read(bpe):
    lines = list(bpe.describe_tokens(range(bpe.vocab_size)))
    assert len(lines) == 290 and lines[97].split() == ["97", "'a'"]
    assert "=" in lines[256] and END_OF_TEXT in lines[289] and lines[255].endswith("bytes ff")
    made = [
        id
        for id in range(256, 289)
        if b"".join(bpe.merge_parents(id)) == bpe.tokens[id] and len(bpe.merge_parents(id)) == 2
    ]
    assert made == list(range(256, 289))
    assert render_token(b" a") == "' a'"


def test_without_the_download_gpt2_is_one_sentence(monkeypatch):
    def offline(name):
        raise ConnectionError("no network")

    monkeypatch.setattr(tiktoken, "get_encoding", offline)
    with pytest.raises(UserError, match="GPT-2's vocabulary could not be downloaded .*TIKTOKEN_CACHE_DIR"):
        BPETokenizer.gpt2()


@given(ANY_TEXT)
def test_gpt2_is_gpt2(text):
    original, ours = gpt2()
    assert ours.vocab_size == original.n_vocab == 50257
    assert ours.encode(text) == original.encode_ordinary(text)
    allowed = text + END_OF_TEXT
    assert ours.encode(allowed, allow_special=True) == original.encode(allowed, allowed_special="all")


@cache
def gpt2() -> tuple[tiktoken.Encoding, BPETokenizer]:
    try:
        return tiktoken.get_encoding("r50k_base"), BPETokenizer.gpt2()
    except Exception as error:
        pytest.skip(f"GPT-2's vocabulary is not at hand: {error}")


def test_a_model_with_subwords_is_saved_evaluated_and_writes(tmp_path, bpe, make_model):
    model = make_model(vocab_size=bpe.vocab_size)
    checkpoint.save(tmp_path / "model", model, bpe)
    model, tokenizer = checkpoint.load(tmp_path / "model")
    assert tokenizer.to_dict() == bpe.to_dict()
    data = split_text(TRAINING, tokenizer)
    found = evaluate(model, data.train, 4, tokenizer=tokenizer)
    whole = tokenizer.decode(data.train[1:].tolist())
    assert found.n_characters == len(whole)
    written = generate(model, tokenizer, "the", max_new_tokens=20, seed=1)
    assert written.startswith("the")


def test_a_view_shows_every_token(bpe):
    view = show_tokens(bpe, "the <cat>\n🚀", "ours")
    page, plain = view._repr_html_(), repr(view)
    assert page.count("<span") == len(view.ids) and "&lt;" in page and f"token {view.ids[0]}" in page
    assert plain.startswith(f"ours: {len(view.ids)} tokens\n") and plain.count("|") == len(view.ids) - 1
    assert "↵" in plain and "·" in plain and "⟨f0⟩" in plain
    assert repr(show_tokens(CharTokenizer("ab "), "a b")) == "3 tokens\na|·|b"
