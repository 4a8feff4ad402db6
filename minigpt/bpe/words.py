"""Cutting a text into words, the pieces that no merge of byte-pair encoding may cross."""

import re
from collections import Counter
from collections.abc import Sequence

import regex

from minigpt.config import require
from minigpt.errors import UserError

# What GPT-2 takes as a word: an ending such as 's; letters, digits or signs with the space before them; white space.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"

SAMPLE = "".join(map(chr, range(256))) + "\u0301 日本 🙂 \u2003 don't  1234 ...\n\n"  # characters of every kind

CUTS = re.compile(rb".*[^\x00-\x20](?=[ \n])", re.DOTALL)  # up to the last byte of text that white space follows


def count_words(text: str, special: Sequence[str] = (), pattern: str = PATTERN) -> Counter[bytes]:
    """Return every distinct word of a text as bytes, and how often it occurs; special tokens are left out.

    Raises:
        UserError: the pattern passes over a part of the text, or the text holds half of a surrogate pair.
    """
    require_unicode(text)
    find = compiled(pattern).finditer
    between = regex.split("|".join(map(regex.escape, special)), text) if special else [text]
    words = Counter(match.group() for part in between for match in find(part))
    found = sum(len(word) * count for word, count in words.items())
    expected = sum(map(len, between))
    missed = expected - found
    require(missed == 0, f"The pattern passes over {missed} characters; end it in '|(?s:.)' to miss none.")
    return Counter({word.encode("utf-8"): count for word, count in words.items()})


def last_cut(text: bytes, before: int) -> int:
    """Return the last place, below some byte, where a text can be cut without changing a word, or 0 if there is none.

    That is before a space or a line end after something else, since no word of `PATTERN` goes on across white space.
    """
    while found := CUTS.match(text, 0, before):
        place = found.end()
        if not text[max(0, place - 4) : place].decode("utf-8", "ignore")[-1:].isspace():  # such as a wide space
            return place
        before = place
    return 0


def compiled(pattern: str = PATTERN) -> regex.Pattern:
    """Compile the pattern of words; raises UserError if it is none, or one that loses characters."""
    try:
        found = regex.compile(pattern)
    except regex.error as error:
        raise UserError(f"The pattern {pattern!r} is no regular expression ({error}); mend it.") from None
    require(found.fullmatch("") is None, f"The pattern {pattern!r} finds words without a character; mend it.")
    missed = found.sub("", SAMPLE)
    require(not missed, f"The pattern {pattern!r} passes over {missed[:1]!r}; end it in '|(?s:.)' to miss none.")
    return found


def require_unicode(text: str) -> None:
    """Raise `UserError` if a text holds half of a surrogate pair, which has no bytes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"The text holds half of a surrogate pair, {text[error.start]!r}, at place {error.start}; leave it out."
        ) from None


def readable(token: bytes) -> str:
    """Write a token so that everything in it can be seen: as text where it is one, otherwise as bytes."""
    try:
        return repr(token.decode("utf-8"))
    except UnicodeDecodeError:
        return "bytes " + token.hex(" ")
