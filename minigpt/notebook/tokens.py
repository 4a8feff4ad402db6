"""A text with its tokens in color, and with the spans that it copies from another text marked."""

import html
from collections.abc import Sequence
from itertools import groupby

from minigpt.evaluation.memorization import Text, copied_mask
from minigpt.tokenizer.base import Tokenizer, render_token

_COLORS = ("#7aa6ff", "#ffb454", "#7fd18b", "#e68fd0", "#c9b458")  # seen through, on light and on dark pages


_ALPHA = "55"


_TOKEN_BOX = "white-space:pre-wrap;line-height:1.9;font-family:monospace;overflow-wrap:anywhere;margin:.6em 0"


class TokenView:
    """The tokens of a text, each in the colour after its neighbour's, with its id as the tip under the mouse.

    Spaces are shown as · and ends of lines as ↵. A token of bytes that are no whole characters shows the bytes.
    """

    def __init__(self, tokenizer: Tokenizer, text: str, title: str = "") -> None:
        self.title = title
        self.ids = tokenizer.encode(text)
        self.texts = [_visible(_token_text(tokenizer, id)) for id in self.ids]

    def _repr_html_(self) -> str:
        caption = f'<div style="opacity:.75;font-size:.85em">{html.escape(self.caption)}</div>'
        spans = "".join(map(_token_span, range(len(self.ids)), self.ids, self.texts))
        return f'<div class="token-view">{caption}<div style="{_TOKEN_BOX}">{spans}</div></div>'

    @property
    def caption(self) -> str:
        """The title, and how many tokens there are."""
        return f"{self.title}: {len(self.ids)} tokens" if self.title else f"{len(self.ids)} tokens"

    def __repr__(self) -> str:
        return f"{self.caption}\n" + "|".join(self.texts)


def show_tokens(tokenizer: Tokenizer, text: str, title: str = "") -> TokenView:
    """Return a view of how a text is cut; as the last value of a notebook cell it is shown in colour."""
    return TokenView(tokenizer, text, title)


def _token_text(tokenizer: Tokenizer, id: int) -> str:
    """Return a token's text, or its bytes in angle brackets if they are no whole characters."""
    if not hasattr(tokenizer, "token_bytes"):
        return tokenizer.decode([id])
    token = tokenizer.token_bytes(id)
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        return f"⟨{render_token(token).removeprefix('bytes ')}⟩"


def _visible(text: str) -> str:
    """Write spaces and ends of lines so that they can be seen."""
    return text.replace(" ", "·").replace("\n", "↵\n")


def _token_span(place: int, id: int, text: str) -> str:
    """Return a token as a coloured piece of HTML."""
    colour = _COLORS[place % len(_COLORS)]
    style = f"background:{colour}{_ALPHA};border-bottom:2px solid {colour};border-radius:3px"
    return f'<span title="token {id}" style="{style}">{html.escape(text)}</span>'


_MARK = "background:#c8553d33;border-bottom:2px solid #c8553d"  # seen through, on light and on dark pages


_COPY_BOX = "white-space:pre-wrap;font-family:monospace;overflow-wrap:anywhere;margin:.6em 0"


CopiedSpan = tuple[str, bool]


class CopyView:
    """Pieces of a text, each with whether it was copied; copied ones are marked, in plain text by ⟦ and ⟧."""

    def __init__(self, pieces: Sequence[CopiedSpan], title: str = "", prompt: str = "") -> None:
        self.pieces = list(pieces)
        self.title = title
        self.prompt = prompt

    def _repr_html_(self) -> str:
        caption = f'<div style="opacity:.75;font-size:.85em">{html.escape(self.title)}</div>' if self.title else ""
        prompt = f'<span style="opacity:.75">{html.escape(self.prompt)}</span>' if self.prompt else ""
        spans = "".join(map(_mark_span, self.pieces))
        return f'<div class="copy-view">{caption}<div style="{_COPY_BOX}">{prompt}{spans}</div></div>'

    def __repr__(self) -> str:
        caption = f"{self.title}\n" if self.title else ""
        return caption + self.prompt + "".join(f"⟦{text}⟧" if copied else text for text, copied in self.pieces)


def copied_spans(tokenizer: Tokenizer, ids: Sequence[int], source: Text, at_least: int = 8) -> list[CopiedSpan]:
    """Cut a text into pieces that stand in the source, in stretches of `at_least` tokens or more, and the others."""
    marked = zip(ids, copied_mask(ids, source, at_least), strict=True)
    together = groupby(marked, key=lambda pair: pair[1])
    return [(tokenizer.decode([id for id, _ in pairs]), copied) for copied, pairs in together]


def _mark_span(piece: CopiedSpan) -> str:
    """Return a piece as HTML."""
    text, copied = piece
    return f'<mark style="{_MARK};color:inherit">{html.escape(text)}</mark>' if copied else html.escape(text)
