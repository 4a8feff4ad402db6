"""The bibliography: every entry can be followed to its source, none is defined twice, and each is used."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENTRIES = re.findall(
    r"^@\w+\{([^,]+),\n(.*?)\n\}", (ROOT / "book" / "references.bib").read_text("utf-8"), re.MULTILINE | re.DOTALL
)
FORMS = {
    "eprint": r"\d{4}\.\d{4,5}",
    "doi": r"10\.\d{4,9}/\S+",
    "url": r"https?://\S+",
}


def field(body: str, name: str) -> str | None:
    found = re.search(rf"^\s*{name}\s*=\s*\{{(.*)\}},?$", body, re.MULTILINE)
    return found[1] if found else None


@pytest.mark.parametrize(("key", "body"), ENTRIES, ids=[key for key, _ in ENTRIES])
def test_an_entry_leads_to_its_source(key, body):
    assert all(field(body, name) for name in ("author", "title", "year"))
    links = {name: field(body, name) for name in FORMS if field(body, name)}
    assert links, f"give {key} an eprint, a doi or a url"
    for name, value in links.items():
        assert re.fullmatch(FORMS[name], value)
    assert not links.get("eprint") or (field(body, "archiveprefix") or "").lower() == "arxiv"


@pytest.mark.parametrize("read", [lambda entry: entry[0], lambda entry: field(entry[1], "title").lower()])
def test_no_entry_stands_there_twice(read):
    found = [read(entry) for entry in ENTRIES]
    assert len(found) == len(set(found))


def test_every_entry_is_cited_somewhere():
    pages = [*ROOT.glob("chapters/**/*.ipynb"), *ROOT.glob("book/*.md")]
    text = "\n".join(path.read_text("utf-8") for path in pages)
    cited = {key.strip() for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for key in group.split(",")}
    assert not {key for key, _ in ENTRIES} - cited


def test_the_page_lists_them_all():
    assert ":all:" in (ROOT / "book" / "bibliography.md").read_text("utf-8")
