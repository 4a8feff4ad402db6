"""A text with the stretches marked that were copied from elsewhere, as static HTML, and in brackets without colour."""

import html
from collections.abc import Sequence
from itertools import groupby

from minigpt.overlap import Text, copied_places
from minigpt.tokenizers import Tokenizer

MARK = "background:#c8553d33;border-bottom:2px solid #c8553d"  # seen through, on light and on dark pages
BOX = "white-space:pre-wrap;font-family:monospace;overflow-wrap:anywhere;margin:.6em 0"
Piece = tuple[str, bool]


class CopyView:
    """Pieces of a text, each with whether it was copied; copied ones are marked, in plain text by ⟦ and ⟧."""

    def __init__(self, pieces: Sequence[Piece], title: str = "", prompt: str = "") -> None:
        self.pieces = list(pieces)
        self.title = title
        self.prompt = prompt

    def _repr_html_(self) -> str:
        caption = f'<div style="opacity:.75;font-size:.85em">{html.escape(self.title)}</div>' if self.title else ""
        prompt = f'<span style="opacity:.75">{html.escape(self.prompt)}</span>' if self.prompt else ""
        return (
            f'<div class="copy-view">{caption}<div style="{BOX}">{prompt}{"".join(map(span, self.pieces))}</div></div>'
        )

    def __repr__(self) -> str:
        caption = f"{self.title}\n" if self.title else ""
        return caption + self.prompt + "".join(f"⟦{text}⟧" if copied else text for text, copied in self.pieces)


def copied_pieces(tokenizer: Tokenizer, ids: Sequence[int], source: Text, at_least: int = 8) -> list[Piece]:
    """Cut a text into pieces that stand in the source, in stretches of `at_least` tokens or more, and the others."""
    marked = zip(ids, copied_places(ids, source, at_least), strict=True)
    together = groupby(marked, key=lambda pair: pair[1])
    return [(tokenizer.decode([id for id, _ in pairs]), copied) for copied, pairs in together]


def span(piece: Piece) -> str:
    """Return a piece as HTML."""
    text, copied = piece
    return f'<mark style="{MARK};color:inherit">{html.escape(text)}</mark>' if copied else html.escape(text)
