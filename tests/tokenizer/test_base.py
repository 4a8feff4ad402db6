"""A kind of tokenizer of one's own: five lines, and it is in every checkpoint, prompt and evaluation."""

import json

import pytest
import torch

from minigpt import Tokenizer, UserError, checkpoint, evaluate, generate, load_tokenizer, split_text
from minigpt.tokenizer.base import TOKENIZERS
from minigpt.tokenizer.char import CharTokenizer


class Bytes(Tokenizer):
    kind, vocab_size = "test bytes", 256

    def encode(self, text):
        return list(text.encode("utf-8"))

    def token_bytes(self, id):
        return bytes([id])


def test_what_is_not_said_follows():
    tokenizer = Bytes()
    assert tokenizer.decode(tokenizer.encode("naïve 日本")) == "naïve 日本"
    assert tokenizer.decode([0xC3]) == "\N{REPLACEMENT CHARACTER}"
    assert list(tokenizer.describe_tokens([97])) == ["    97  'a'"]
    assert tokenizer.special_tokens == {}
    assert repr(tokenizer) == "Bytes(256 tokens)"


def test_a_checkpoint_holds_it_like_any_other(tmp_path, make_model):
    model = make_model(vocab_size=256)
    checkpoint.save(tmp_path / "mine", model, Bytes())
    assert json.loads((tmp_path / "mine" / "tokenizer.json").read_text()) == {"kind": "test bytes"}
    loaded, tokenizer = checkpoint.load(tmp_path / "mine")
    assert isinstance(tokenizer, Bytes)
    settings = {"max_new_tokens": 5, "temperature": 0}
    assert generate(loaded, tokenizer, "é", **settings) == generate(model, Bytes(), "é", **settings)


def test_what_it_remembers_comes_back(tmp_path):
    class Alphabet(Bytes):
        kind = "test alphabet"

        def __init__(self, letters):
            self.letters = letters

        def to_dict(self):
            return super().to_dict() | {"letters": self.letters}

        @classmethod
        def from_dict(cls, values):
            return cls(values["letters"])

    Alphabet("abc").save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path / "tokenizer.json").letters == "abc"


def test_bits_are_counted_by_its_bytes(make_model):
    text = "naïve " * 20
    ids = split_text(text, Bytes(), 0.5).validation
    found = evaluate(make_model(vocab_size=256), ids, 8, tokenizer=Bytes())
    assert found.n_bytes == len(ids) - 1
    assert found.n_characters < found.n_bytes


def test_a_kind_that_was_not_defined_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"kind": "never defined"}')
    with pytest.raises(UserError, match="'never defined', and known are 'bpe', 'char'.*define its class first"):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_a_class_without_a_kind_of_its_own_takes_no_place():
    class Loud(CharTokenizer):
        def encode(self, text):
            return super().encode(text.upper())

    assert TOKENIZERS["char"] is CharTokenizer
    assert Loud("ABC").encode("abc") == [0, 1, 2]


def test_what_a_tokenizer_must_say_is_asked_for():
    class Silent(Tokenizer):
        kind = "test silent"

    with pytest.raises(TypeError, match="encode"):
        Silent()


def test_ids_of_any_iterable_are_decoded():
    assert CharTokenizer("abc").decode(iter([0, 2])) == "ac"
    assert torch.tensor(Bytes().encode("ab")).tolist() == [97, 98]
