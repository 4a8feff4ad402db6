"""What a page tells other sites about itself."""

from types import SimpleNamespace

from docutils import nodes
from page_marks import mark_paragraphs, mark_printed_tables, mend_roles
from public_pages import LONGEST, summary, tags


def page(*paragraphs: nodes.paragraph) -> nodes.document:
    document = nodes.document(None, None)
    document += list(paragraphs)
    return document


def paragraph(text: str, bold: str = "") -> nodes.paragraph:
    one = nodes.paragraph()
    one += [nodes.strong(text=bold)] if bold else []
    one += nodes.Text(text)
    return one


def test_the_lines_at_the_head_of_a_chapter_get_names():
    document = page(paragraph("Open in Colab"), paragraph(" 14 s.", "Measured:"), paragraph(" who?", "The question."))
    document += [paragraph(" is a word.", "Bold"), paragraph("")]
    mark_paragraphs(None, document)
    assert [one["classes"] for one in document] == [["colab"], ["measured"], ["question"], [], []]


def test_outputs_in_columns_and_code_are_told_from_text():
    texts = ["name   loss\nrope  1.97\n", "def f(x):\n    return x\n", "one  line", "name   loss\nrope  1.97"]
    document = page(*(nodes.literal_block("", text, classes=["output", "stream"]) for text in texts))
    document[-1]["classes"] = ["code"]
    mark_printed_tables(None, document)
    assert ["in-columns" in block["classes"] for block in document] == [True, True, False, False]


def test_what_is_no_list_does_not_call_itself_one():
    context = {"body": '<dl>\n<dd>a</dd></dl><dl><dt>b</dt><dd>c</dd></dl><div role="list" class="citation-list">'}
    mend_roles(None, "page", "", context, None)
    listed = '<dl><dt>b</dt><dd>c</dd></dl><div class="citation-list">'
    assert context["body"] == f'<dl role="presentation">\n<dd>a</dd></dl>{listed}'


def test_a_page_is_summed_up_by_its_first_prose():
    document = page(
        paragraph("Open in Colab"), paragraph(" 14 s.", "Measured:"), paragraph(" to\nread.", "You will learn")
    )
    mark_paragraphs(None, document)
    assert summary(document) == "You will learn to read."
    assert summary(page()) == ""


def test_a_long_summary_is_cut_at_a_word():
    short = summary(page(paragraph("word " * 100)))
    assert len(short) <= LONGEST + 2
    assert short.endswith("word …")


def test_tags_are_escaped_and_address_the_card():
    config = SimpleNamespace(html_title="minigpt", project="", html_baseurl="https://somebody.example/book/")
    text = tags('Why "√D"?', "a < b", "https://somebody.example/book/page.html", config)
    assert '<meta property="og:title" content="Why &quot;√D&quot;?">' in text
    assert '<meta name="description" content="a &lt; b">' in text
    assert "https://somebody.example/book/_static/card.png" in text
