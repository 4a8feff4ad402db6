"""The quizzes: the loader refuses what is incomplete, and the page needs neither kernel nor JavaScript."""

import re
from pathlib import Path

import pytest

from minigpt.exercises.engine.display import FOLDER, Quiz, load_questions, quiz
from minigpt.utils.errors import UserError

QUESTION = """
[[question]]
text = "Is `1 < 2`?"

[[question.option]]
text = "Yes"
right = true
why = "Because *one* comes first."

[[question.option]]
text = "No"
right = false
why = "Count again & see."

[[question.option]]
text = "Sometimes"
right = false
why = "It is always so."
"""


def load(tmp_path: Path, text: str):
    (tmp_path / "01_numbers.toml").write_text(text, encoding="utf-8")
    return load_questions("01_numbers", tmp_path)


def test_a_complete_quiz_is_shown(tmp_path):
    shown = Quiz("01_numbers", load(tmp_path, QUESTION * 5))
    page = shown._repr_html_()
    assert page.count("<details") == page.count("<summary") == 15
    assert page.count("<strong>Right.</strong> Because <em>one</em>") == 5
    assert page.count("<strong>Not quite.</strong>") == 10
    assert "1 &lt; 2" in page and "again &amp; see" in page and "<script" not in page
    assert "1. Is `1 < 2`?" in repr(shown) and "5A. Right. Because" in repr(shown)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (QUESTION * 4, "has 4 questions: write exactly five"),
        ("question = 3", "write exactly five"),
        ("question = [1, 2, 3, 4, 5]", "write exactly five"),
        (QUESTION * 4 + QUESTION.replace("true", "false"), "question 5 has 0 right options"),
        (QUESTION * 4 + QUESTION.replace("right = false", "right = true", 1), "question 5 has 2 right options"),
        (QUESTION * 4 + QUESTION.replace("right = false", "", 1), "without `right = true` or"),
        (QUESTION * 4 + QUESTION.replace("It is always so.", " "), "without a `why`"),
        (QUESTION * 4 + QUESTION.replace('text = "Sometimes"', ""), "without a text"),
        (QUESTION * 4 + '[[question]]\ntext = "Why?"', "question 5 has 0 options"),
        ("[[question", "is not valid TOML"),
    ],
)
def test_an_incomplete_quiz_is_refused(tmp_path, text, says):
    with pytest.raises(UserError, match=re.escape(says)):
        load(tmp_path, text)


def test_a_missing_quiz_is_named():
    with pytest.raises(UserError, match="no quiz called '98_missing'"):
        quiz("98_missing")
    with pytest.raises(UserError):
        quiz("../quizzes/98_missing")


@pytest.mark.parametrize("chapter", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_every_quiz_is_valid_and_its_answers_are_not_all_in_one_place(chapter):
    questions = quiz(chapter).questions
    places = {[option.right for option in question.options].index(True) for question in questions}
    assert len(places) > 1
