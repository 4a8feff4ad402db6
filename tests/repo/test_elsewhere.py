"""The code works elsewhere: what only some systems have is asked for first, and nothing rests on the usual locale."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.faults.elsewhere import PLACES

ROOT = Path(__file__).parents[2]
MODULES = [
    path
    for folder in ("minigpt", "scripts", "experiments", "benchmarks", "space")
    for path in sorted(ROOT.glob(f"{folder}/**/*.py"))
]
ONLY_UNIX = re.compile(
    r"os\.(fork|getuid|geteuid|killpg|setsid|uname|sched_getaffinity)|signal\.(SIGKILL|SIGHUP|SIGALRM|setitimer)"
    r"|import (resource|fcntl|pwd|grp|termios)"
)
ASKED = re.compile(r"hasattr\((os|signal),|os\.name|ImportError|ModuleNotFoundError|sys\.platform|suppress\(")
FORBIDDEN = re.compile(r'[<>:"|?*\\]|[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)


def is_usual(call: ast.Call) -> bool:
    """Whether a call reads or writes a text file in whatever encoding is usual there."""
    name = getattr(call.func, "attr", "")
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    mode = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
    return name == "open" and re.fullmatch(r"[rwax]\+?t?", str(mode)) is not None


def without_encoding(path: Path) -> list[int]:
    """Return the lines of such calls."""
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return sorted(call.lineno for call in calls if is_usual(call))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_text_file_names_its_encoding(path):
    assert without_encoding(path) == []


def test_a_missing_encoding_is_found(tmp_path):
    (tmp_path / "a.py").write_text("p.read_text()\np.write_text(x)\np.open('w')\np.open('rb')\np.read_text('utf-8')\n")
    assert without_encoding(tmp_path / "a.py") == [1, 2, 3]


def test_the_package_asks_before_it_uses_what_only_unix_has():
    texts = {path: path.read_text("utf-8") for path in MODULES if path.is_relative_to(ROOT / "minigpt")}
    bold = [path.name for path, text in texts.items() if ONLY_UNIX.search(text) and not ASKED.search(text)]
    assert bold == []


def test_every_name_of_a_file_is_allowed_everywhere():
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, encoding="utf-8")
    if listing.returncode:
        pytest.skip("not a git checkout")
    names = [name for name in listing.stdout.split("\0") if name]
    assert [name for name in names if any(FORBIDDEN.search(part) for part in name.split("/"))] == []
    assert len({name.lower() for name in names}) == len(names), "two names differ only in capitals"
    assert max(map(len, names)) < 150


def test_part_one_needs_less_than_two_gigabytes():
    measured = json.loads((ROOT / "results" / "chapters.json").read_text("utf-8"))
    peaks = [one["peak_memory_mb"] for tier in ("smoke", "cpu") for name, one in measured[tier].items() if name < "09"]
    assert len(peaks) == 14 and max(peaks) < 2000


@pytest.mark.slow
@pytest.mark.parametrize("name", PLACES)
def test_four_commands_work_in_another_place(name, tmp_path):
    assert PLACES[name].work(tmp_path) == ""
