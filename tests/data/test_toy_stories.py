"""The little stories: what they say, what cannot be foreseen of them, and how a text is judged."""

import math
from random import Random

import pytest

from minigpt.data.toy_stories import MENTIONS, WORDS, classify_story, sample_story, story_entropy


def test_the_same_lot_tells_the_same_story():
    assert sample_story(Random(1)) == sample_story(Random(1)) != sample_story(Random(2))
    assert sample_story(Random(1)).endswith(".")


def test_every_story_is_coherent():
    random = Random(0)
    assert {classify_story(sample_story(random)) for _ in range(200)} == {"coherent"}


def test_a_name_that_changes_and_a_word_that_is_missing():
    story = sample_story(Random(3))
    name = next(name for name in WORDS["name"] if name in story)
    other = next(other for other in WORDS["name"] if other != name)
    assert classify_story(story.replace(f"day {name}", f"day {other}")) == "well formed"
    assert (
        classify_story(story.replace("Once", "Twice")) == classify_story(story[:-20]) == classify_story("") == "broken"
    )
    assert classify_story(story.replace(name, "Zoe")) == "broken"  # nobody in this world has that name


def test_news_is_the_logarithm_of_how_many_stories_there_are():
    assert story_entropy() == pytest.approx(math.log(math.prod(map(len, WORDS.values()))))


def test_who_forgets_pays_at_every_mention():
    assert set(MENTIONS) == set(WORDS)
    assert story_entropy(remembers=False) == pytest.approx(sum(math.log(len(WORDS[slot])) for slot in MENTIONS))
    assert story_entropy(remembers=False) > 2 * story_entropy()
