"""The exercises of the book, which check themselves: `check`, `hints` and `quiz`."""

from minigpt.exercises.engine.display import hints, quiz
from minigpt.exercises.engine.loading import Check, all_exercises

check = Check()

__all__ = ["all_exercises", "check", "hints", "quiz"]
