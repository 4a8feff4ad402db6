"""Text files: where a line begins, how long documents are cut, and what is wrong with some."""

import pytest

from minigpt import UserError
from minigpt.data import documents
from minigpt.data.documents import TextSource


@pytest.mark.parametrize(("offset", "border"), [(0, 0), (1, 4), (3, 4), (4, 4), (5, 8), (8, 8), (9, 10), (10, 10)])
def test_a_border_is_the_beginning_of_a_line(offset, border):
    assert TextSource("a", "one\ntwo\nxy").line_after(offset) == border


def test_a_line_without_end_has_no_border(monkeypatch):
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 4)
    assert TextSource("a", "a very long line\n").line_after(2) == 17


def test_a_long_document_is_cut_between_two_words(monkeypatch):
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 10)
    source = TextSource("a", "some words and some more words#next one")
    fragments = list(source.read(0, source.size, "#", inside=False, can_split=True))
    assert [fragment.text for fragment in fragments[:-1]] == [b"some", b" words and", b" some more", b" words"]
    assert fragments[-1].text == b"next one"
    assert [fragment.begins for fragment in fragments] == [True, False, False, False, True]


def test_a_document_that_cannot_be_cut_is_named(monkeypatch):
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 10)
    monkeypatch.setattr(documents, "_LONGEST", 50)
    source = TextSource("long.txt", "x" * 100)
    for divisible in (True, False):
        with pytest.raises(UserError, match=r"long\.txt has a document of more than 50 bytes that cannot be cut"):
            list(source.read(0, source.size, None, inside=False, can_split=divisible))


def test_a_file_that_shrinks_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("a text")
    source = TextSource(tmp_path / "a.txt")
    before = source.fingerprint()
    (tmp_path / "a.txt").write_text("a")
    assert source.fingerprint() != before
    with pytest.raises(UserError, match=r"a\.txt has become shorter"):
        list(source.read(0, source.size, None, inside=False, can_split=True))
