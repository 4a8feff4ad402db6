"""A text with its copied stretches marked."""

from minigpt import CharTokenizer
from minigpt.notebook.tokens import CopyView, copied_spans

TOKENIZER = CharTokenizer.from_text("to be or not, <&")


def pieces(text, source, at_least=3):
    return copied_spans(TOKENIZER, TOKENIZER.encode(text), TOKENIZER.encode(source), at_least)


def test_pieces_are_the_text_and_alternate():
    found = pieces("to be, rot", "or to be or not")
    assert found == [("to be", True), (", rot", False)]


def test_plain_text_marks_with_brackets():
    view = CopyView(pieces("to be, r", "to be or not"), "a title", "prompt: ")
    assert repr(view) == "a title\nprompt: ⟦to be⟧, r"
    assert repr(CopyView([])) == ""


def test_html_marks_and_escapes():
    drawn = CopyView([("<be>", True), ("& not", False)], "a <title>", "<p>")._repr_html_()
    assert ">&lt;be&gt;</mark>&amp; not" in drawn
    assert "a &lt;title&gt;" in drawn and "&lt;p&gt;" in drawn and "<be>" not in drawn
