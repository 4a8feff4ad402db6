"""Published figures: every one is read, computed and judged, and those that must hold exactly do."""

from collections import Counter

import pytest

from minigpt import model_preset, preset_names
from minigpt.notebook.published import (
    CONTRADICTORY,
    EXACT,
    ROUNDED,
    facts,
    published,
    rounding_interval,
    table,
    verdict,
)
from minigpt.planning.counting import num_parameters

JUDGED = [
    ("3,221,825", 3_221_825, EXACT),
    ("3,221,825", 3_221_826, CONTRADICTORY),
    ("0", 0, EXACT),
    ("3.2M", 3_221_825, ROUNDED),
    ("3.2M", 3_150_000, ROUNDED),
    ("3.2M", 3_149_999, CONTRADICTORY),
    ("134M", 134_601_216, ROUNDED),
    ("134M", 135_000_000, CONTRADICTORY),
    ("~11M", 11_454_144, ROUNDED),
    ("~150M", 152_101_632, ROUNDED),
    ("~150M", 161_000_000, CONTRADICTORY),
    ("~200M", 199_472_000, ROUNDED),
    ("~500M", 537_621_760, CONTRADICTORY),
    ("~40M", 39_499_999, CONTRADICTORY),
    ("150.26M", 150_260_736, ROUNDED),
    ("150.26M", 150_270_001, CONTRADICTORY),
    ("~50k", 49_500, ROUNDED),
    ("~2–3 million", 1_500_000, ROUNDED),
    ("~2–3 million", 3_900_000, ROUNDED),
    ("~2–3 million", 4_000_000, CONTRADICTORY),
    ("13 MB", 13_289_472, ROUNDED),
]


@pytest.mark.parametrize(("written", "computed", "expected"), JUDGED)
def test_a_verdict_is_exact_rounded_or_contradictory(written, computed, expected):
    assert verdict(written, computed) == expected


def test_a_unit_that_is_not_known_is_no_number():
    with pytest.raises(KeyError):
        rounding_interval("3 parsecs")


def test_every_figure_can_be_judged():
    figures = published()
    assert len(figures) == len({(each.group, each.what) for each in figures})
    assert set(Counter(each.verdict for each in figures)) == {EXACT, ROUNDED, CONTRADICTORY}
    for each in figures:
        assert each.computed >= 0
        assert not each.reason or each.reason.endswith(".")
        assert rounding_interval(each.written)[0] <= rounding_interval(each.written)[1]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("Medium Character, parameters", EXACT),
        ("GPT-2 Small, parameters", EXACT),
        ("GPT-2 Small, in short", ROUNDED),
        ("Tiny Shakespeare, parameters", CONTRADICTORY),
        ("token embedding", EXACT),
        ("in all", CONTRADICTORY),
        ("in all, in short", ROUNDED),
        ("350M_1024", ROUNDED),
        ("150M, in full", CONTRADICTORY),
        ("TinyStories-33M", CONTRADICTORY),
        ("after all upgrades", CONTRADICTORY),
    ],
)
def test_the_figures_that_the_book_speaks_of(what, expected):
    (figure,) = [each for each in published() if each.what == what]
    assert figure.verdict == expected


def test_the_reasons_hold():
    written = {each.what: each.written for each in published()}
    assert f"{num_parameters(model_preset('tiny-shakespeare')):,}" == written["Tiny Shakespeare, parameters"]
    assert verdict(written["Tiny Shakespeare, file"], 4 * num_parameters(model_preset("tiny-shakespeare"))) == ROUNDED
    assert f"{num_parameters(model_preset('gpt2', vocab_size=50_257)):,}" == "124,439,808"
    assert int(written["in all"].replace(",", "")) % model_preset("gpt2").n_embd != 0
    assert int(written["one block"].replace(",", "")) * 12 == int(written["all blocks"].replace(",", ""))


def test_every_published_preset_is_a_preset():
    assert {each.what for each in published("presets")} == set(facts("memory")) <= set(preset_names())


def test_a_group_becomes_a_table_with_its_reasons():
    text = table(published("others"))
    lines = text.splitlines()
    assert lines[0] == "| figure | published | computed | verdict |"
    assert lines[2] == "| GPT-2 Small | 117M | 124,439,808 | contradictory |"
    assert lines[-1].startswith("- **GPT-2 Medium**: ")


def test_there_is_no_such_group():
    assert published("nothing") == []
