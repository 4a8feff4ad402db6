"""The questions of a chapter's quiz, read from `quizzes/NN_topic.toml` and validated."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from minigpt.utils.errors import UserError

FOLDER = Path(__file__).parent / "quizzes"


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
