"""The character tokenizer: no text is changed on its way to ids and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError, load_tokenizer

ANY_CHARACTER = st.characters(exclude_categories=())  # lone surrogates and NUL included
ANY_TEXT = st.text(ANY_CHARACTER)
SOME_TEXT = st.text(ANY_CHARACTER, min_size=1)


@given(SOME_TEXT)
def test_decoding_undoes_encoding(text):
    tokenizer = CharTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert set(ids) == set(range(tokenizer.vocab_size))


@given(SOME_TEXT, st.data())
def test_encoding_undoes_decoding(text, data):
    tokenizer = CharTokenizer.from_text(text)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


@given(SOME_TEXT)
def test_ids_follow_the_code_points(text):
    tokenizer = CharTokenizer.from_text(text)
    assert list(tokenizer.characters) == sorted(set(text))
    assert CharTokenizer.from_text(text[::-1]).characters == tokenizer.characters


@given(SOME_TEXT, ANY_TEXT)
def test_an_unknown_character_is_an_error_or_stands_for_unknown(text, other):
    strict = CharTokenizer.from_text(text)
    strange = [character for character in other if character not in text]
    if strange:
        with pytest.raises(UserError) as error:
            strict.encode(other)
        assert f"{strange[0]!r} (U+{ord(strange[0]):04X}) at place {other.index(strange[0])}" in str(error.value)
    else:
        assert strict.decode(strict.encode(other)) == other
    lenient = CharTokenizer.from_text(text, unknown="?")
    expected = "".join(character if character in text + "?" else "?" for character in other)
    assert lenient.decode(lenient.encode(other)) == expected


@given(SOME_TEXT, st.booleans())
def test_a_saved_tokenizer_is_the_same(tmp_path_factory, text, lenient):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer = CharTokenizer.from_text(text, unknown=text[0] if lenient else None)
    tokenizer.save(path)
    loaded = load_tokenizer(path)
    assert (loaded.characters, loaded.unknown) == (tokenizer.characters, tokenizer.unknown)
    assert loaded.encode(text) == tokenizer.encode(text)


def test_unknown_joins_the_vocabulary():
    tokenizer = CharTokenizer.from_text("ab", unknown="z")
    assert tokenizer.characters == "abz"
    assert tokenizer.encode("aqb") == [0, 2, 1]


@pytest.mark.parametrize(
    ("characters", "unknown", "message"),
    [
        ("", None, "at least one character"),
        ("abca", None, "repeats 'a'"),
        ("abc", "d", "unknown = 'd' must be one character of the vocabulary"),
        ("abc", "ab", "unknown = 'ab' must be one character"),
        ("abc", "", "unknown = '' must be one character"),
        ("abc", 7, "unknown = 7 must be one character"),
    ],
)
def test_a_wrong_vocabulary_is_named(characters, unknown, message):
    with pytest.raises(UserError, match=message):
        CharTokenizer(characters, unknown)


def test_an_empty_text_is_an_error():
    with pytest.raises(UserError, match="at least one character"):
        CharTokenizer.from_text("")


@pytest.mark.parametrize("id", [-1, 3, 10**9])
def test_an_id_outside_the_vocabulary_is_an_error(id):
    with pytest.raises(UserError, match=f"Token id {id} is outside the vocabulary, 0 to 2"):
        CharTokenizer("abc").decode([0, id])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "word"}, "holds a tokenizer of kind 'word', and known are 'bpe', 'char'"),
        ({}, "holds a tokenizer of kind None"),
        ({"kind": "char"}, "lacks the text field 'characters'"),
        ({"kind": "char", "characters": ["a"]}, "lacks the text field 'characters'"),
        ({"kind": "char", "characters": ""}, "at least one character"),
        ({"kind": "char", "characters": "aa"}, "repeats 'a'"),
        ({"kind": "char", "characters": "ab", "unknown": "c"}, "unknown = 'c'"),
        ({"kind": "char", "characters": "ab", "unknown": [1]}, r"unknown = \[1\]"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"tokenizer\.json.*{message}"):
        load_tokenizer(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json does not exist"):
        load_tokenizer(tmp_path / "tokenizer.json")


@given(SOME_TEXT, st.integers(1, 6))
def test_a_vocabulary_of_limited_size_keeps_the_most_frequent_characters(text, vocab_size):
    tokenizer = CharTokenizer.from_text(text, unknown="?", vocab_size=vocab_size)
    assert tokenizer.vocab_size <= vocab_size and "?" in tokenizer.characters
    kept = set(tokenizer.characters) - {"?"}
    rarest = min(map(text.count, kept), default=0)
    assert len(kept) == min(vocab_size - 1, len(set(text) - {"?"}))
    assert all(text.count(character) <= rarest for character in set(text) - set(tokenizer.characters)) or not kept


def test_a_vocabulary_of_limited_size_breaks_ties_by_code_point_and_needs_unknown():
    assert CharTokenizer.from_text("ddccbbaa", unknown="?", vocab_size=3).characters == "?ab"
    with pytest.raises(UserError, match="limited size needs unknown"):
        CharTokenizer.from_text("ab", vocab_size=1)


@pytest.mark.parametrize("save", [CharTokenizer("abc").save, BPETokenizer.train("a cat, a cat", 258).save])
def test_a_full_disk_leaves_the_earlier_file(tmp_path, full_disk, save):
    CharTokenizer("xyz").save(tmp_path / "tokenizer.json")
    with full_disk(10), pytest.raises(OSError):
        save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path / "tokenizer.json").decode([0, 1, 2]) == "xyz"
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]
