"""The texts that the book trains on: where they come from, how they are checked, and what stands in offline."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from minigpt.data.download import fetch
from minigpt.data.foundation import foundation_text
from minigpt.data.plays import shakespeare_plays
from minigpt.data.text_files import read_text
from minigpt.utils.errors import UserError

TINY_SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"


TINY_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class Corpus:
    """A text and its name; `note` says what stands in for what, where it does."""

    name: str
    text: str
    note: str = ""

    @property
    def sha256(self) -> str:
        """The checksum of the text as UTF-8."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()

    def __str__(self) -> str:
        described = f"{self.name}: {len(self.text):,} characters, {len(set(self.text))} distinct."
        return f"{described} {self.note}".strip()


def load_corpus(name: str, fallback: str | None = None) -> Corpus:
    """Return a corpus by name; when it is not available, `fallback` stands in and the corpus's note says so.

    Raises:
        UserError: there is no corpus of that name, or it is not available and there is no fallback.
    """
    if name not in CORPORA:
        raise UserError(f"There is no corpus {name!r}; the corpora are {', '.join(CORPORA)}.")
    try:
        return Corpus(name, CORPORA[name]())
    except UserError as error:
        if fallback is None:
            raise
        corpus = load_corpus(fallback)
        return Corpus(corpus.name, corpus.text, f"It stands in for {name}: {error}")


def tiny_shakespeare() -> str:
    """Return Tiny Shakespeare, 1,115,394 characters from the plays (Karpathy, 2015).

    It is read from the folder named by `MINIGPT_DATA` if that is set, otherwise downloaded once and cached.

    Raises:
        UserError: the download failed, or the file has another checksum.
    """
    return read_text(fetch(TINY_SHAKESPEARE_URL, TINY_SHAKESPEARE_SHA256, "tinyshakespeare.txt"))


__all__ = ["CORPORA", "Corpus", "load_corpus", "read_text", "tiny_shakespeare"]


CORPORA: dict[str, Callable[[], str]] = {
    "tinyshakespeare": tiny_shakespeare,
    "shakespeare-plays": shakespeare_plays,
    "foundation": foundation_text,
}
