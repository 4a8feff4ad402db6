"""A text with its tokens in colour, as static HTML, and with bars between them where there is no colour."""

import html

from minigpt.bpe.words import readable
from minigpt.tokenizers import Tokenizer

COLOURS = ("#7aa6ff", "#ffb454", "#7fd18b", "#e68fd0", "#c9b458")  # seen through, on light and on dark pages
ALPHA = "55"
BOX = "white-space:pre-wrap;line-height:1.9;font-family:monospace;overflow-wrap:anywhere;margin:.6em 0"


class TokenView:
    """The tokens of a text, each in the colour after its neighbour's, with its id as the tip under the mouse.

    Spaces are shown as · and ends of lines as ↵. A token of bytes that are no whole characters shows the bytes.
    """

    def __init__(self, tokenizer: Tokenizer, text: str, title: str = "") -> None:
        self.title = title
        self.ids = tokenizer.encode(text)
        self.texts = [visible(token_text(tokenizer, id)) for id in self.ids]

    def _repr_html_(self) -> str:
        caption = f'<div style="opacity:.75;font-size:.85em">{html.escape(self.caption)}</div>'
        spans = "".join(map(span, range(len(self.ids)), self.ids, self.texts))
        return f'<div class="token-view">{caption}<div style="{BOX}">{spans}</div></div>'

    @property
    def caption(self) -> str:
        """The title, and how many tokens there are."""
        return f"{self.title}: {len(self.ids)} tokens" if self.title else f"{len(self.ids)} tokens"

    def __repr__(self) -> str:
        return f"{self.caption}\n" + "|".join(self.texts)


def show_tokens(tokenizer: Tokenizer, text: str, title: str = "") -> TokenView:
    """Return a view of how a text is cut; as the last value of a notebook cell it is shown in colour."""
    return TokenView(tokenizer, text, title)


def token_text(tokenizer: Tokenizer, id: int) -> str:
    """Return a token's text, or its bytes in angle brackets if they are no whole characters."""
    if not hasattr(tokenizer, "token_bytes"):
        return tokenizer.decode([id])
    token = tokenizer.token_bytes(id)
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        return f"⟨{readable(token).removeprefix('bytes ')}⟩"


def visible(text: str) -> str:
    """Write spaces and ends of lines so that they can be seen."""
    return text.replace(" ", "·").replace("\n", "↵\n")


def span(place: int, id: int, text: str) -> str:
    """Return a token as a coloured piece of HTML."""
    colour = COLOURS[place % len(COLOURS)]
    style = f"background:{colour}{ALPHA};border-bottom:2px solid {colour};border-radius:3px"
    return f'<span title="token {id}" style="{style}">{html.escape(text)}</span>'
