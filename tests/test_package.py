"""Importing minigpt does nothing but define names."""

import subprocess
import sys
from pathlib import Path

import minigpt

SCRIPT = """
import socket, sys, torch
from pathlib import Path

def refuse(*arguments):
    raise AssertionError("importing minigpt opened a connection")

socket.socket.connect = refuse
torch.manual_seed(7)
expected = torch.rand(3)
torch.manual_seed(7)
threads, dtype, files = torch.get_num_threads(), torch.get_default_dtype(), sorted(Path.cwd().iterdir())
import minigpt
import minigpt.cli
import minigpt.exercises
import minigpt.training.monitor
import minigpt.plots
assert torch.equal(torch.rand(3), expected), "importing minigpt moved the random state"
assert torch.get_num_threads() == threads and torch.get_default_dtype() == dtype
assert not torch.cuda.is_initialized()
assert sorted(Path.cwd().iterdir()) == files
assert "matplotlib.pyplot" not in sys.modules, "importing pyplot chooses a backend"
"""


def test_import_prints_nothing_and_changes_nothing(tmp_path):
    root = Path(minigpt.__file__).parents[1]
    command = [sys.executable, "-B", "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{SCRIPT}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_name_is_exported():
    assert all(hasattr(minigpt, name) for name in minigpt.__all__)
    for name in ("GPT", "GPTConfig", "Trainer", "CharTokenizer", "generate", "evaluate", "preset", "load_corpus"):
        assert name in minigpt.__all__
