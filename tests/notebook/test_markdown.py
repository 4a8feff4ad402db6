"""A table in Markdown: figures to the right, words to the left."""

from minigpt.notebook.results import markdown_table


def test_a_table_has_a_line_for_each_row():
    assert markdown_table(("a", "b"), [("one", "2")]) == "| a | b |\n| --- | --: |\n| one | 2 |"


def test_figures_stand_to_the_right():
    rows = [("yes", "-1.5", "1,000", "–", "3 layers"), ("no", "+2 ± 1", "1.5 ×", "3e-4", "two")]
    assert markdown_table("abcde", rows).splitlines()[1] == "| --- | --: | --: | --: | --- |"


def test_without_rows_there_are_titles():
    assert markdown_table(("a", "b"), []).startswith("| a | b |\n")
