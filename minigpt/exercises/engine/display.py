"""Hints, and quizzes read from `quizzes/NN_topic.toml`, as static HTML: `<details>` open without kernel or JavaScript."""

import html
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from minigpt.exercises.engine.loading import find_exercise
from minigpt.utils.errors import UserError

FOLDER = Path(__file__).parents[1] / "quizzes"
LETTERS = "ABCD"
EMPHASIS = re.compile(r"(?<![\w*])\*([^\s*](?:[^*]*[^\s*])?)\*(?![\w*])")  # and no powers, as in N**2
CODE_STYLE = "color:inherit;background:rgba(128,128,128,.18);padding:0 .25em;border-radius:3px"
BOX_STYLE = "border:1px solid rgba(128,128,128,.5);border-radius:4px;padding:.35em .7em;margin:.35em 0"
RIGHT_STYLE = "border-left:4px solid #2e9e5b;padding-left:.7em;margin:.5em 0"
WRONG_STYLE = "border-left:4px dashed #d97706;padding-left:.7em;margin:.5em 0"


@dataclass(frozen=True)
class Hints:
    """The hints of an exercise, from gentle to nearly the answer."""

    name: str
    texts: tuple[str, ...]

    def _repr_html_(self) -> str:
        boxes = [
            _details("hint", f"Hint {number} for {_inline_html(f'`{self.name}`')}", _paragraph(text))
            for number, text in enumerate(self.texts, start=1)
        ]
        return f'<div class="hints">{"".join(boxes)}</div>'

    def __repr__(self) -> str:
        return "\n".join(f"Hint {number} for {self.name}: {text}" for number, text in enumerate(self.texts, start=1))


@dataclass(frozen=True)
class Option:
    """One possible answer, with the reason why it is right or not."""

    text: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """One question with its three or four options."""

    text: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Quiz:
    """The quiz of a chapter: opening an option shows why it is right or not."""

    chapter: str
    questions: tuple[Question, ...]

    def _repr_html_(self) -> str:
        body = "".join(_question_html(number, one) for number, one in enumerate(self.questions, start=1))
        return f'<div class="quiz" role="group" aria-label="Quiz">{body}</div>'

    def __repr__(self) -> str:
        lines = []
        for number, question in enumerate(self.questions, start=1):
            lines.append(f"{number}. {question.text}")
            lines += [f"   {letter}. {one.text}" for letter, one in zip(LETTERS, question.options, strict=False)]
        lines.append("Answers")
        for number, question in enumerate(self.questions, start=1):
            lines += [
                f"   {number}{letter}. {_verdict(one)} {one.why}"
                for letter, one in zip(LETTERS, question.options, strict=False)
            ]
        return "\n".join(lines)


def hints(name: str) -> Hints:
    """Show the hints of an exercise, each closed until it is clicked; raises UserError for an unknown exercise."""
    exercise = find_exercise(name)
    return Hints(exercise.name, exercise.hints)


def quiz(chapter: str) -> Quiz:
    """Show the quiz of a chapter such as "01_characters"; raises UserError when there is none."""
    return Quiz(chapter, load_questions(chapter))


def load_questions(chapter: str, folder: Path = FOLDER) -> tuple[Question, ...]:
    """Return the five questions of a chapter; raises UserError for a missing, unreadable or incomplete quiz."""
    path = folder / f"{chapter}.toml"
    if not path.is_file():
        names = ", ".join(sorted(one.stem for one in folder.glob("*.toml"))) or "none yet"
        raise UserError(f"There is no quiz called {chapter!r}: choose one of {names}.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} is not valid TOML: {error}.") from None
    questions = _tables(table, "question")
    _require(len(questions) == 5, path, f"has {len(questions)} questions: write exactly five")
    return tuple(_question(raw, path, number) for number, raw in enumerate(questions, start=1))


def _question(raw: dict, path: Path, number: int) -> Question:
    options = _tables(raw, "option")
    _require(_filled(raw, "text"), path, f"question {number} has no text: add one")
    _require(len(options) in (3, 4), path, f"question {number} has {len(options)} options: give it three or four")
    for option in options:
        _require(_filled(option, "text"), path, f"question {number} has an option without a text: add one")
        _require(_filled(option, "why"), path, f"question {number} has an option without a `why`: explain it")
        marked = isinstance(option.get("right"), bool)
        _require(marked, path, f"question {number} has an option without `right = true` or `right = false`: mark it")
    rights = sum(option["right"] for option in options)
    _require(rights == 1, path, f"question {number} has {rights} right options: mark exactly one")
    return Question(raw["text"], tuple(Option(one["text"], one["right"], one["why"]) for one in options))


def _tables(table: dict, key: str) -> list[dict]:
    entries = table.get(key, [])
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _filled(table: dict, key: str) -> bool:
    return isinstance(table.get(key), str) and bool(table[key].strip())


def _require(condition: bool, path: Path, complaint: str) -> None:
    if not condition:
        raise UserError(f"{path.name}: {complaint}.")


def _inline_html(text: str) -> str:
    """Escape a text for HTML; `code` and *emphasis* keep their meaning."""
    pieces = re.split(r"`([^`]+)`", " ".join(text.split()))
    prose = [EMPHASIS.sub(r"<em>\1</em>", html.escape(piece)) for piece in pieces[::2]]
    code = [f'<code style="{CODE_STYLE}">{html.escape(piece)}</code>' for piece in pieces[1::2]]
    return "".join(before + after for before, after in zip(prose, [*code, ""], strict=True))


def _question_html(number: int, question: Question) -> str:
    options = "".join(
        _details("option", f"{letter}. {_inline_html(one.text)}", _explanation_html(one))
        for letter, one in zip(LETTERS, question.options, strict=False)
    )
    title = f'<p style="margin:1em 0 .4em"><strong>{number}.</strong> {_inline_html(question.text)}</p>'
    return f'<div class="question">{title}{options}</div>'


def _explanation_html(option: Option) -> str:
    name, style = ("right", RIGHT_STYLE) if option.right else ("wrong", WRONG_STYLE)
    return f'<p class="{name}" style="{style}"><strong>{_verdict(option)}</strong> {_inline_html(option.why)}</p>'


def _verdict(option: Option) -> str:
    return "Right." if option.right else "Not quite."


def _paragraph(text: str) -> str:
    return f'<p style="margin:.5em 0">{_inline_html(text)}</p>'


def _details(name: str, summary: str, body: str) -> str:
    title = f'<summary style="cursor:pointer">{summary}</summary>'
    return f'<details class="{name}" style="{BOX_STYLE}">{title}{body}</details>'
