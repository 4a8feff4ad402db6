"""What a run trains on: a text, its tokenizer and its two parts, whether it is a corpus or a file of the user's own."""

from dataclasses import dataclass
from pathlib import Path

from minigpt.cli.shared import open_corpus, require_one_source
from minigpt.config import require
from minigpt.corpora.foundation import load_foundation
from minigpt.data import Split, split_text
from minigpt.errors import UserError
from minigpt.shards.reader import check_shards, open_shards
from minigpt.tokenizers import CharTokenizer, Tokenizer

LONGEST_PROMPT = 40
ENOUGH_FOR_A_LINE = 10_000
CHECKED = 2_000_000_000  # bytes of shards up to which all are compared with their checksums, which takes seconds


@dataclass(frozen=True)
class Material:
    """A text ready for training; `beginning` is enough of it to find a first line in."""

    name: str
    sha256: str
    description: str
    beginning: str
    tokenizer: Tokenizer
    data: Split

    def prompt(self, wanted: str) -> str:
        """Return the wanted prompt if the tokenizer can encode it, otherwise the text's own first line."""
        try:
            self.tokenizer.encode(wanted)
        except UserError:
            lines = (line.strip() for line in self.beginning.splitlines())
            return next(filter(None, lines), self.beginning)[:LONGEST_PROMPT]
        return wanted


def open_material(
    corpus: str | None,
    text: Path | None,
    tokenizer: Tokenizer | None = None,
    expected: dict[str, str] | None = None,
    shards: Path | None = None,
) -> Material:
    """Return a folder of shards, the user's own text, or the corpus of that name; the usual corpus if none is named.

    Without a tokenizer, the text's own characters are its tokens; shards have their own.

    Raises:
        UserError: more than one text is named, the text is not to be had, or it is another one than `expected`, which
            a record names.
    """
    require_one_source(corpus, text, shards)
    if shards is not None:
        return open_prepared(shards, tokenizer, expected)
    if corpus == "foundation":
        foundation = load_foundation(tokenizer=tokenizer)
        require_expected(corpus, foundation.sha256, expected)
        beginning = foundation.tokenizer.decode(foundation.ids[:ENOUGH_FOR_A_LINE].tolist())
        tokenizer, data = foundation.tokenizer, foundation.split
        return Material(corpus, foundation.sha256, str(foundation), beginning, tokenizer, data)
    source = open_corpus(corpus, text)
    require_expected(source.name, source.sha256, expected)
    tokenizer = tokenizer or CharTokenizer.from_text(source.text)
    data = split_text(source.text, tokenizer)
    return Material(source.name, source.sha256, str(source), source.text[:ENOUGH_FOR_A_LINE], tokenizer, data)


def open_prepared(folder: Path, tokenizer: Tokenizer | None, expected: dict[str, str] | None) -> Material:
    """Return a folder of shards; a run that goes on has to have the tokenizer that they were made with."""
    prepared = open_shards(folder)
    if prepared.n_bytes <= CHECKED:
        check_shards(folder)
    require_expected(folder.name, prepared.sha256, expected)
    same = tokenizer is None or tokenizer.to_dict() == prepared.tokenizer.to_dict()
    require(same, f"The shards in {folder} bring their own tokenizer; leave out --tokenizer.")
    beginning = prepared.tokenizer.decode(prepared.split.train[:ENOUGH_FOR_A_LINE].tolist())
    sha256, described = prepared.sha256, str(prepared)
    return Material(folder.name, sha256, described, beginning, prepared.tokenizer, prepared.split)


def require_expected(name: str, sha256: str, expected: dict[str, str] | None) -> None:
    """Raise `UserError` if the text is another one than a run was trained on, as far as its record tells."""
    same = not expected or expected.get("sha256") in (None, sha256)
    require(
        same,
        f"The run was trained on another text ({(expected or {}).get('name')}) than {name}; "
        "name the same one with --corpus, --text or --data.",
    )
