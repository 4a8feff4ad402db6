"""Three voices to learn from: the verse of the plays, Python code, and the prose that explains the code.

Code and prose come from the sources of sympy, which every installation of PyTorch brings along.
"""

import ast
import warnings
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from minigpt.corpora.plays import each_play
from minigpt.errors import present, require

VOICES = ("verse", "code", "prose")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def read_voices(every: int = 1, progress: bool = True) -> dict[str, str]:
    """Return the text of each voice; with `every`, only one play and one source file out of so many.

    Raises:
        UserError: the plays or sympy are not installed.
    """
    require(every >= 1, f"every = {every} must be at least 1.")
    verse = "\n".join(each_play(every))
    separated = [
        separate(path.read_text(encoding="utf-8"))
        for path in tqdm(sympy_files()[::every], desc="reading sympy", unit="file", disable=not progress)
    ]
    code = "\n\n\n".join(code for code, _ in separated if code)
    prose = "\n\n\n".join(prose for _, prose in separated if prose)
    return {"verse": verse, "code": code, "prose": prose}


def sympy_files() -> list[Path]:
    """Return the source files of the installed sympy, sorted by path.

    Raises:
        UserError: sympy is not installed.
    """
    package = present(find_spec("sympy"), "The voices of code and prose are read from sympy; pip install sympy.")
    root = Path(str(package.origin)).parent
    return sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).parts)


def separate(source: str) -> tuple[str, str]:
    """Take a Python source apart: the code without its docstrings, and the docstrings, their margin removed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in strings
        tree = ast.parse(source)
    lines: list[str | None] = list(source.split("\n"))
    found = []
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
        if docstring:
            first = node.body[0]  # type: ignore[attr-defined]
            found.append((first.lineno, docstring))
            if not lines[first.lineno - 1][: first.col_offset].strip():
                lines[first.lineno - 1 : first.end_lineno] = [None] * (first.end_lineno - first.lineno + 1)
    code = "\n".join(line for line in lines if line is not None)
    return code.strip(), "\n\n".join(docstring for _, docstring in sorted(found))
