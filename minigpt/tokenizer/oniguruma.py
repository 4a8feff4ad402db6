"""Patterns of words in the dialect of Oniguruma, in which Hugging Face's `tokenizers` reads them, and back.

There `$` and `^` stand at every line end, a dot matches line ends under the letter m instead of s, and `{1,3}+` is
not possessive but repeated.
"""

import re

from minigpt.utils.errors import UserError

_PIECE = re.compile(
    r"""
    (?P<class>\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\])  # a set of characters
    | (?P<escape>\\[pP]\{[^}]*\}|\\.)
    | (?P<flags>\(\?[a-zA-Z-]+[:)])
    | (?P<count>\{\d*,?\d*\}[+?]?)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


_ANY_CHARACTER = r"[\s\S]"


_FOREIGN = {r"\Z", r"\h", r"\H", r"\R", r"\X", r"\K", r"\G", r"\O", r"\N"}  # escapes that mean something else there


def to_oniguruma(pattern: str) -> str:
    """Return a pattern of ours as Oniguruma has to be told it.

    Raises:
        UserError: a part of it has no counterpart there.
    """
    pattern = pattern.replace("(?s:.)", _ANY_CHARACTER)
    written: list[str] = []
    for kind, piece in _pieces(pattern):
        if kind == "other" and piece in ("$", "^"):
            written.append(r"\z" if piece == "$" else r"\A")
        elif kind == "flags":
            written.append(_flags(piece, pattern, s="m", i="i"))
        elif kind == "count" and piece.endswith("+"):
            if not written or written[-1] in (")", "|", "("):
                raise _no_counterpart(pattern, piece)
            written[-1] = f"(?>{written[-1]}{piece[:-1]})"
        elif (kind == "count" and piece.endswith("?")) or (kind == "escape" and piece in _FOREIGN):
            raise _no_counterpart(pattern, piece)
        else:
            written.append(piece)
    text = "".join(written)
    _check_compiles(text, pattern)
    return text


def from_oniguruma(pattern: str) -> str:
    """Return a pattern of theirs as ours.

    Raises:
        UserError: a part of it has no counterpart here.
    """
    written: list[str] = []
    for kind, piece in _pieces(pattern):
        if kind == "escape" and piece in (r"\z", r"\A"):
            written.append("$" if piece == r"\z" else "^")
        elif kind == "flags":
            written.append(_flags(piece, pattern, m="s", i="i"))
        elif (
            (kind == "other" and piece in ("$", "^"))
            or (kind == "count" and piece[-1] in "+?")
            or (kind == "escape" and piece in _FOREIGN)
            or (kind == "class" and ("[:" in piece or "&&" in piece or "[" in piece[1:].replace(r"\[", "")))
        ):
            raise _no_counterpart(pattern, piece)
        else:
            written.append(piece)
    return "".join(written)


def _pieces(pattern: str) -> list[tuple[str, str]]:
    """Return the pieces of a pattern, each with its kind."""
    return [(str(match.lastgroup), match.group()) for match in _PIECE.finditer(pattern)]


def _flags(piece: str, pattern: str, **letters: str) -> str:
    """Return the beginning of a group such as `(?i:` in the letters of the other dialect."""
    if not piece.endswith(":") or not set(piece[2:-1]) <= letters.keys():
        raise _no_counterpart(pattern, piece)
    return f"(?{''.join(letters[letter] for letter in piece[2:-1])}:"


def _no_counterpart(pattern: str, piece: str) -> UserError:
    """Return what to say of a piece that means something else in the other dialect."""
    return UserError(
        f"The pattern {pattern!r} has {piece!r}, which transformers and minigpt read differently; write that part "
        "another way."
    )


def _check_compiles(text: str, pattern: str) -> None:
    """Raise `UserError` if their library is at hand and cannot read a pattern."""
    try:
        from tokenizers import Regex
    except ModuleNotFoundError:
        return
    try:
        Regex(text)
    except Exception as error:  # the library's own type is Exception
        reason = str(error).rstrip(".")
        raise UserError(
            f"The pattern {pattern!r} is none that the package tokenizers can read ({reason}); write it another way."
        ) from None
