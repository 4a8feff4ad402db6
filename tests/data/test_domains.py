"""The voices: code and prose are told apart, and nothing of either is lost."""

import ast
import importlib.util

import pytest

from minigpt import UserError
from minigpt.data.foundation import DOMAINS, read_domains, separate, sympy_files

SOURCE = '''"""About the module."""
import math


class Circle:
    """A circle.

    It is round:
        Indented.
    """

    radius = 1

    def area(self):
        """Return the area."""
        text = """not a docstring"""
        return math.pi * self.radius**2

    async def wait(self): "On the line of its function."
'''


def test_docstrings_are_taken_out_and_lose_their_margin():
    code, prose = separate(SOURCE)
    assert prose == (
        "About the module.\n\nA circle.\n\nIt is round:\n    Indented.\n\n"
        "Return the area.\n\nOn the line of its function."
    )
    assert code.startswith("import math\n\n\nclass Circle:\n\n    radius = 1\n")
    assert '    def area(self):\n        text = """not a docstring"""' in code
    assert code.endswith('async def wait(self): "On the line of its function."')
    ast.parse(code)


def test_a_source_may_have_one_voice_only():
    assert separate("x = 1\n") == ("x = 1", "")
    assert separate('"""Only words."""\n') == ("", "Only words.")
    assert separate("") == ("", "")
    assert separate("x = '\\d'  # an odd escape") == ("x = '\\d'  # an odd escape", "")


def test_a_sample_of_the_real_sources_has_all_voices(plays):
    voices = read_domains(every=200, progress=False)
    assert tuple(voices) == DOMAINS
    assert "import" in voices["code"] and ">>>" in voices["prose"] and ":\n" in voices["verse"]
    assert all(len(text) > 1000 for text in voices.values())
    with pytest.raises(UserError, match="every = 0 must be at least 1"):
        read_domains(every=0)


def test_the_files_come_in_one_order_and_without_sympy_a_sentence(monkeypatch):
    files = sympy_files()
    assert files == sorted(files, key=lambda path: path.parts) and len(files) > 1000
    monkeypatch.setattr("minigpt.data.foundation.find_spec", lambda name: None)
    with pytest.raises(UserError, match="read from sympy; pip install sympy"):
        sympy_files()
    assert importlib.util.find_spec("sympy") is not None
