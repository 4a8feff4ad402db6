"""The book's mark is what the shipped model looks at, and the card is of the size that other sites ask for."""

import re

import pytest
from PIL import Image
from public_pages import CARD_SIZE

from scripts.draw_logo import STATIC, mark, shades


def test_the_mark_is_drawn_from_the_shipped_model():
    drawn, committed = mark(shades("mini")), (STATIC / "logo.svg").read_text("utf-8")
    assert re.sub(r"0\.\d+|1\.00", "", drawn) == re.sub(r"0\.\d+|1\.00", "", committed)
    shown = [[float(one) for one in re.findall(r'opacity="([\d.]+)"', text)] for text in (drawn, committed)]
    assert shown[0] == pytest.approx(shown[1], abs=0.02)


def test_the_icon_is_the_mark():
    assert (STATIC / "favicon.svg").read_bytes() == (STATIC / "logo.svg").read_bytes()


def test_the_card_is_small_and_of_the_usual_size():
    with Image.open(STATIC / "card.png") as card:
        assert card.size == CARD_SIZE
    assert (STATIC / "card.png").stat().st_size < 50_000
