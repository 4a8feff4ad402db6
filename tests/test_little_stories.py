"""The little stories: what they say, what cannot be foreseen of them, and how a text is judged."""

import math
from random import Random

import pytest

from minigpt.corpora.little_stories import MENTIONS, WORDS, judge, news, tell


def test_the_same_lot_tells_the_same_story():
    assert tell(Random(1)) == tell(Random(1)) != tell(Random(2))
    assert tell(Random(1)).endswith(".")


def test_every_story_is_coherent():
    random = Random(0)
    assert {judge(tell(random)) for _ in range(200)} == {"coherent"}


def test_a_name_that_changes_and_a_word_that_is_missing():
    story = tell(Random(3))
    name = next(name for name in WORDS["name"] if name in story)
    other = next(other for other in WORDS["name"] if other != name)
    assert judge(story.replace(f"day {name}", f"day {other}")) == "well formed"
    assert judge(story.replace("Once", "Twice")) == judge(story[:-20]) == judge("") == "broken"
    assert judge(story.replace(name, "Zoe")) == "broken"  # nobody in this world has that name


def test_news_is_the_logarithm_of_how_many_stories_there_are():
    assert news() == pytest.approx(math.log(math.prod(map(len, WORDS.values()))))


def test_who_forgets_pays_at_every_mention():
    assert set(MENTIONS) == set(WORDS)
    assert news(remembers=False) == pytest.approx(sum(math.log(len(WORDS[slot])) for slot in MENTIONS))
    assert news(remembers=False) > 2 * news()
