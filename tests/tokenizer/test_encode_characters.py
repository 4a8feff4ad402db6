"""Encoding: the tokenizer's own ids, also of a text that is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError
from minigpt.data.documents import Batch, Chunk, ReadPosition, TextSource, split_documents
from minigpt.data.prepare import Encoder, can_split, collect_characters, separator_ids
from minigpt.data.shards import token_dtype
from minigpt.tokenizer.char import encode_characters
from minigpt.tokenizer.pretokenize import last_split_point

BPE = BPETokenizer.train("the cat sat on the mat, and the cat's hat sat " * 9, 275)
WORDS = st.text("at' the1,\n\t\u3000\x85é", max_size=40)


def batch(number: int, text: str = "ab") -> Batch:
    return Batch([Chunk(text.encode(), "train", True, "a.txt", 0)], ReadPosition(number))


@given(text=WORDS)
def test_a_text_cut_between_words_has_the_same_ids(text):
    content = text.encode()
    place = last_split_point(content, len(content))
    parts = [content[:place].decode(), content[place:].decode()]
    assert [id for part in parts for id in BPE.encode(part)] == BPE.encode(text)
    assert place == 0 or (parts[0] and not parts[0][-1].isspace() and parts[1][0] in " \n")


def test_only_words_of_known_shape_can_be_cut():
    assert can_split(BPE) and can_split(CharTokenizer("ab"))
    assert not can_split(BPETokenizer(BPE.tokens, pattern=r"(?s:.+)"))


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_arrays_hold_the_ids_of_the_tokenizer(text):
    for tokenizer in (CharTokenizer.from_text("abc�", unknown="�"), CharTokenizer.from_text(text + "a")):
        array = encode_characters(text, tokenizer, np.dtype("<u4"))
        assert array.tolist() == tokenizer.encode(text)
        assert array.dtype == np.uint32


def test_an_unknown_character_is_named_with_its_file():
    with pytest.raises(UserError, match=r"a\.txt, from byte 0: The character 'c' \(U\+0063\) at place 0"):
        Encoder(CharTokenizer("ab"))(batch(0, "cab").chunks)


@pytest.mark.parametrize(("vocab_size", "type"), [(2, "<u2"), (65_536, "<u2"), (65_537, "<u4"), (2**31, "<u4")])
def test_two_bytes_are_enough_for_65536_tokens(vocab_size, type):
    assert token_dtype(vocab_size) == np.dtype(type)


def test_documents_are_kept_apart_by_what_the_tokenizer_has():
    assert separator_ids(BPE) == [274]
    assert separator_ids(BPETokenizer(BPE.tokens)) == [10]
    assert separator_ids(CharTokenizer("a\n")) == [1]
    assert separator_ids(CharTokenizer("ab")) == []


def test_the_characters_of_documents_are_sorted():
    one = split_documents([TextSource("a", "cab")], [TextSource("b", "dé")])
    assert collect_characters(one) == "abcdé"
    assert collect_characters(split_documents([TextSource("a", "b#a#c")], separator="#")) == "\nabc"
    with pytest.raises(UserError, match=r"b\.txt is not UTF-8 text \(byte 1 cannot be read\)"):
        collect_characters(split_documents([wrong := TextSource("b.txt", "abc")], [wrong_bytes(wrong)]))


def wrong_bytes(source: TextSource) -> TextSource:
    source.content = b"a\xffc"
    return source
