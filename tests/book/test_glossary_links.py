"""Terms of the glossary become links in prose, once a page, and nowhere else."""

import re
from pathlib import Path

import pytest
from docutils import nodes
from glossary_links import EVERYDAY, PAGES, definitions, link_terms, pattern_for

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "book" / "glossary.md").read_text("utf-8").split("```{glossary}\n")[1]
ENTRIES = re.findall(r"^(?! |```)(.+)\n((?:  .+\n|\n(?=  ))+)", TEXT, re.MULTILINE)
TERMS = [term for term, _ in ENTRIES]


def page(*children: object) -> object:
    return nodes.section("", *children)


def linked(document: object, terms: list[str]) -> list[str]:
    link_terms(document, terms, lambda term, words: nodes.reference("", words, refuri=term))
    return [(found["refuri"], found.astext()) for found in document.findall(nodes.reference) if "refuri" in found]


def test_the_first_occurrence_is_linked_and_the_sentence_is_kept():
    document = page(nodes.paragraph("", "The logits are scores. Logits again."))
    assert linked(document, ["logits"]) == [("logits", "logits")]
    assert document.astext() == "The logits are scores. Logits again."


def test_capitals_plurals_and_the_longest_term_are_found():
    document = page(nodes.paragraph("", "Attention heads and tokens"))
    assert linked(document, ["attention", "attention head", "token"]) == [
        ("attention head", "Attention heads"),
        ("token", "tokens"),
    ]


def test_parts_of_words_are_left_alone():
    assert not linked(page(nodes.paragraph("", "untokenized pre-norms tokenizer-like")), ["token", "norm", "tokenizer"])


def test_only_prose_is_touched():
    quoted = [
        nodes.title("", "logits"),
        nodes.paragraph("", "", nodes.literal("", "logits"), nodes.math("", "logits")),
        nodes.literal_block("", "logits"),
        nodes.container("", nodes.paragraph("", "logits"), classes=["cell_output"]),
    ]
    assert not linked(page(*quoted), ["logits"])
    inside = page(nodes.paragraph("", "", nodes.reference("", "logits", refid="x")))
    assert not linked(inside, ["logits"])


def test_emphasis_is_prose():
    assert linked(page(nodes.paragraph("", "", nodes.emphasis("", "logits"))), ["logits"]) == [("logits", "logits")]


def test_a_definition_is_the_first_paragraph_of_an_entry():
    item = nodes.definition_list_item(
        "",
        nodes.term("", "logits", ids=["term-logits"]),
        nodes.definition("", nodes.paragraph("", "Scores."), nodes.paragraph("", "Chapter 0")),
    )
    assert definitions(page(nodes.definition_list("", item))) == {"logits": ("term-logits", "Scores.")}


def test_chapters_are_linked_and_pages_of_reference_are_not():
    assert PAGES.fullmatch("chapters/04_attention") and PAGES.fullmatch("book/intro")
    assert not PAGES.fullmatch("chapters/solutions/04_attention") and not PAGES.fullmatch("book/glossary")


def test_everyday_words_are_terms_of_the_glossary():
    assert set(TERMS) >= EVERYDAY
    assert pattern_for(sorted(EVERYDAY)) is None


def test_the_glossary_is_in_order_and_no_term_comes_twice():
    assert sorted(TERMS, key=str.lower) == TERMS
    assert len({term.lower() for term in TERMS}) == len(TERMS) > 90


@pytest.mark.parametrize(("term", "text"), ENTRIES, ids=TERMS)
def test_an_entry_says_what_it_means_and_where_it_is_explained(term, text):
    meaning, _, pointer = text.strip().partition("\n\n")
    assert meaning[0].isupper() and meaning.endswith(".")
    target = re.fullmatch(r"\s*\*Explained in \[[^]]+\]\(\.\./(chapters/\w+\.ipynb)\)\.\*", pointer)
    assert target and (ROOT / target[1]).exists()
