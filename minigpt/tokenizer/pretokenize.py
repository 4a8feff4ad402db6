"""Pre-tokenization: how a text is cut into pre-tokens before byte-pair encoding, by the regular expression of GPT-2."""

import re
from collections import Counter
from collections.abc import Sequence

import regex

from minigpt.utils.errors import UserError

# What GPT-2 takes as a word: an ending such as 's; letters, digits or signs with the space before them; white space.
GPT2_SPLIT_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


_SAMPLE = "".join(map(chr, range(256))) + "\u0301 日本 🙂 \u2003 don't  1234 ...\n\n"  # characters of every kind


_SPLITS = re.compile(rb".*[^\x00-\x20](?=[ \n])", re.DOTALL)  # up to the last byte of text that white space follows


def count_pretokens(text: str, special: Sequence[str] = (), pattern: str = GPT2_SPLIT_PATTERN) -> Counter[bytes]:
    """Return every distinct word of a text as bytes, and how often it occurs; special tokens are left out.

    Raises:
        UserError: the pattern passes over a part of the text, or the text holds half of a surrogate pair.
    """
    check_unicode(text)
    find = compile_pattern(pattern).finditer
    between = regex.split("|".join(map(regex.escape, special)), text) if special else [text]
    words = Counter(match.group() for part in between for match in find(part))
    found = sum(len(word) * count for word, count in words.items())
    expected = sum(map(len, between))
    missed = expected - found
    if missed != 0:
        raise UserError(f"The pattern passes over {missed} characters; end it in '|[\\s\\S]' to miss none.")
    return Counter({word.encode("utf-8"): count for word, count in words.items()})


def last_split_point(text: bytes, before: int) -> int:
    """Return the last place, below some byte, where a text can be cut without changing a word, or 0 if there is none.

    That is before a space or a line end after something else, since no word of `PATTERN` goes on across white space.
    """
    while found := _SPLITS.match(text, 0, before):
        place = found.end()
        if not text[max(0, place - 4) : place].decode("utf-8", "ignore")[-1:].isspace():  # such as a wide space
            return place
        before = place
    return 0


def compile_pattern(pattern: str = GPT2_SPLIT_PATTERN) -> regex.Pattern:
    """Compile the pattern of words; raises UserError if it is none, or one that loses characters."""
    try:
        found = regex.compile(pattern)
    except regex.error as error:
        raise UserError(f"The pattern {pattern!r} is not a valid regular expression ({error}); fix it.") from None
    if found.fullmatch("") is not None:
        raise UserError(f"The pattern {pattern!r} finds words without a character; fix it.")
    missed = found.sub("", _SAMPLE)
    if missed:
        raise UserError(f"The pattern {pattern!r} passes over {missed[:1]!r}; end it in '|[\\s\\S]' to miss none.")
    return found


def check_unicode(text: str) -> None:
    """Raise `UserError` if a text holds half of a surrogate pair, which has no bytes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"The text holds half of a surrogate pair, {text[error.start]!r}, at place {error.start}; leave it out."
        ) from None
