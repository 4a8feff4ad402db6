"""The exercises of the book, which check themselves: `check`, `hints` and `quiz`."""

from minigpt.exercises.display import hints, quiz
from minigpt.exercises.loading import Check, all_exercises

check = Check()

__all__ = ["all_exercises", "check", "hints", "quiz"]
