"""Draw the book's mark, its small icon and its card from the attention of the shipped Tiny model.

The mark is one head reading the letters "mini": a row for each letter, a cell for each letter that it may look at, and
a deeper shade where it looks more. The last cell, where the next letter will come from, has the other colour.

python -m scripts.draw_logo
"""

from pathlib import Path

import matplotlib
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from minigpt import asset_path, capture_activations, checkpoint

STATIC = Path(__file__).parent.parent / "book" / "_static"
MODULE, HEAD = "blocks.2.attention.weights", 0
COOL, WARM, PAPER, INK, MUTED = "#2a8c82", "#cc6f3d", "#fffefb", "#1c2b2a", "#5b6467"
PALEST = 0.22  # what a letter that is hardly looked at still shows
CELL, STEP = 22, 26  # the side of a cell, and the way to the next, in the drawing's own units
CARD_DPI = 100  # 12 by 6.3 inches are the 1200 by 630 pixels that a card has


def shades(word: str) -> list[list[float]]:
    """Return for each letter how strongly it looks at itself and those before it; the strongest of a row is 1."""
    model, tokenizer = checkpoint.load(asset_path("checkpoints/tiny"))
    with torch.no_grad(), capture_activations(model.eval(), MODULE) as seen:
        model(torch.tensor([tokenizer.encode(word)]))
    weights = seen[MODULE][0, HEAD]
    shares = weights / weights.max(dim=1, keepdim=True).values
    return [[PALEST + (1 - PALEST) * share for share in row[: i + 1]] for i, row in enumerate(shares.tolist())]


def mark(rows: list[list[float]]) -> str:
    """Return the mark as an SVG drawing."""
    last = len(rows) - 1
    cells = []
    for i, row in enumerate(rows):
        for j, shade in enumerate(row):
            look = f'fill="{WARM}"' if i == j == last else f'opacity="{shade:.2f}"'
            cells.append(
                f'  <rect x="{2 + STEP * j}" y="{2 + STEP * i}" width="{CELL}" height="{CELL}" rx="4" {look}/>'
            )
    side = 2 * 2 + STEP * last + CELL
    title = "  <title>An attention map in which every letter looks back</title>"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" fill="{COOL}" role="img">'
    return "\n".join([opening, title, *cells, "</svg>"]) + "\n"


def card(word: str, rows: list[list[float]]) -> Figure:
    """Return the picture that other sites show beside a link to the book."""
    with matplotlib.rc_context({"font.family": "serif", "font.serif": ["DejaVu Serif"]}):
        drawing = Figure(figsize=(12, 6.3), dpi=CARD_DPI, facecolor=PAPER)
        FigureCanvasAgg(drawing)
        axes = drawing.add_axes((0, 0, 1, 1), xlim=(0, 1200), ylim=(630, 0))
        axes.set_axis_off()
        letter = {"fontsize": 22, "color": MUTED, "ha": "center", "va": "center", "family": "monospace"}
        axes.text(80, 250, "minigpt", fontsize=66, color=INK, weight="bold")
        axes.text(84, 330, "Build a GPT,", fontsize=27, color=MUTED)
        axes.text(84, 378, "one idea at a time", fontsize=27, color=MUTED)
        left, top, step, side = 690, 108, 58, 50
        for i, row in enumerate(rows):
            middle = top + step * i + side / 2
            axes.text(left - 24, middle, word[i], **letter)
            for j, shade in enumerate(row):
                warm = i == j == len(rows) - 1
                place = (left + step * j, top + step * i)
                style = "round,pad=0,rounding_size=9"
                colour, alpha = (WARM, 1) if warm else (COOL, shade)
                axes.add_patch(FancyBboxPatch(place, side, side, style, facecolor=colour, alpha=alpha, linewidth=0))
        return drawing


def main() -> None:
    """Write the mark, the icon and the card."""
    drawn = mark(shades("mini"))
    for name in ("logo.svg", "favicon.svg"):
        (STATIC / name).write_text(drawn, "utf-8")
    path = STATIC / "card.png"
    card("minigpt", shades("minigpt")).savefig(path, dpi=CARD_DPI)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)
    print(f"Drew the mark, the icon and the card ({path.stat().st_size / 1000:.0f} kB).")


if __name__ == "__main__":
    main()
