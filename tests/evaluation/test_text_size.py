"""How much text tokens stand for: exact, wherever a text is cut."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError
from minigpt.evaluation.evaluate import TextLength, TextLengthCounter, begins_character, token_lengths

TEXT = "naïve Ωmega, 日本 🚀🚀 naïve naïve 🚀"
BPE = BPETokenizer.train(TEXT, 270)
CHARACTERS = CharTokenizer.from_text(TEXT)
ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def measure(tokenizer, ids: list[int]) -> TextLength:
    return TextLengthCounter(tokenizer).measure(torch.tensor(ids))


@given(ANY_TEXT)
def test_a_text_in_subwords_has_its_own_size(text):
    assert measure(BPE, BPE.encode(text)) == (len(text), len(text.encode()))


@given(ANY_TEXT)
def test_a_text_in_characters_has_its_own_size(text):
    tokenizer = CharTokenizer.from_text(text)
    assert measure(tokenizer, tokenizer.encode(text)) == (len(text), len(text.encode()))


@given(ANY_TEXT, st.data())
def test_pieces_add_up_to_the_whole_even_when_characters_are_cut(text, data):
    ids = BPE.encode(text)
    border = data.draw(st.integers(1, max(1, len(ids) - 1)))
    pieces = [measure(BPE, ids[:border]), measure(BPE, ids[border:])] if ids[border:] else [measure(BPE, ids)]
    assert tuple(map(sum, zip(*pieces, strict=True))) == (len(text), len(text.encode()))


def test_a_rocket_in_bytes_is_one_character_of_four():
    rocket = list("🚀".encode())
    assert [begins_character(byte) for byte in rocket] == [True, False, False, False]
    plain = BPETokenizer([bytes([value]) for value in range(256)])
    assert measure(plain, rocket) == (1, 4) and measure(plain, rocket[:1]) == (1, 1)
    assert measure(plain, rocket[1:]) == (0, 3)


def test_special_tokens_stand_for_no_text():
    end = BPE.special_tokens["<|endoftext|>"]
    assert measure(BPE, [*BPE.encode("a 🚀"), end, end]) == (3, 6)
    assert token_lengths(BPE)[end].tolist() == [0, 0]


def test_ids_may_have_any_shape_and_kind():
    ids = torch.tensor(CHARACTERS.encode(TEXT[:8]), dtype=torch.uint8).view(2, 4)
    assert TextLengthCounter(CHARACTERS).measure(ids) == (8, len(TEXT[:8].encode()))


def test_half_a_surrogate_pair_is_a_character():
    lone = CharTokenizer("a\ud83d")
    assert measure(lone, [0, 1]) == (2, 4)


def test_another_tokenizer_is_asked_to_decode():
    class Pairs:
        def decode(self, ids: list[int]) -> str:
            return "né" * len(ids)

    assert measure(Pairs(), [5, 9, 100]) == (6, 9)


@pytest.mark.parametrize("tokenizer", [BPE, CHARACTERS])
def test_an_id_outside_the_vocabulary_is_named(tokenizer):
    size = tokenizer.vocab_size
    with pytest.raises(UserError, match=f"Token id {size} is outside the vocabulary, 0 to {size - 1}"):
        measure(tokenizer, [0, size])
