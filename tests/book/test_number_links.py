"""A number in the text becomes a link to what bears it, and the sentence stays as it was."""

import re
from types import SimpleNamespace

from docutils import nodes
from number_links import link_numbers, merge, pages_of

NUMBER = re.compile(r"(?<=\()(\d\.\d)(?=\))")


def test_the_number_becomes_a_link_and_the_sentence_stays():
    paragraph = nodes.paragraph("", "By (4.4) and (9.9), version (1.0).")
    made = link_numbers(
        paragraph, NUMBER, lambda n, words: nodes.reference("", words, refuri="#here") if n == "4.4" else None
    )
    assert made == 1
    assert paragraph.astext() == "By (4.4) and (9.9), version (1.0)."
    assert [found["refuri"] for found in paragraph.findall(nodes.reference)] == ["#here"]


def test_code_keeps_its_numbers():
    paragraph = nodes.paragraph("", "", nodes.literal("", "f(4.4)"))
    assert link_numbers(paragraph, NUMBER, lambda n, words: nodes.reference("", words, refuri="#")) == 0


def test_what_another_process_has_read_is_known_too():
    here, there = SimpleNamespace(), SimpleNamespace()
    pages_of(here, "figure")["1.1"] = "one"
    pages_of(there, "figure")["2.1"] = "two"
    merge(None, here, [], there)
    assert pages_of(here, "figure") == {"1.1": "one", "2.1": "two"}
