"""Importing minigpt does nothing but define names."""

import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigpt

SCRIPT = """
import socket, sys
import minigpt
assert not {"torch", "numpy", "minigpt.model"} & sys.modules.keys(), "nothing is imported before it is asked for"

import torch
from pathlib import Path

def refuse(*arguments):
    raise AssertionError("importing minigpt opened a connection")

socket.socket.connect = refuse
torch.manual_seed(7)
expected = torch.rand(3)
torch.manual_seed(7)
threads, dtype, files = torch.get_num_threads(), torch.get_default_dtype(), sorted(Path.cwd().iterdir())
minigpt.GPT
assert "minigpt.model" in sys.modules and "minigpt.training.trainer" not in sys.modules
from minigpt import *
assert not {"requests", "matplotlib", "IPython"} & sys.modules.keys(), "for downloads, figures and notebooks only"
import minigpt.cli.train
import minigpt.exercises
import minigpt.training.progress
import minigpt.notebook.plots
assert torch.equal(torch.rand(3), expected), "importing minigpt moved the random state"
assert torch.get_num_threads() == threads and torch.get_default_dtype() == dtype
assert not torch.cuda.is_initialized()
assert sorted(Path.cwd().iterdir()) == files
assert "matplotlib.pyplot" not in sys.modules, "importing pyplot chooses a backend"
"""


def run_alone(script: str, folder: Path) -> tuple[int, str, str]:
    """Run a script in a process of its own and return its exit code and what it printed to each stream."""
    root = Path(minigpt.__file__).parents[1]
    command = [sys.executable, "-B", "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{script}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_import_prints_nothing_and_changes_nothing(tmp_path):
    assert run_alone(SCRIPT, tmp_path) == (0, "", "")


def test_the_help_needs_no_pytorch(tmp_path):
    script = """
sys.argv = ["minigpt", "--help"]
from minigpt.cli import main
try:
    main()
finally:
    print("torch" in sys.modules)
"""
    code, out, err = run_alone(script, tmp_path)
    assert (code, err) == (0, "") and "selftest" in out and out.endswith("False\n")


def test_every_name_is_exported():
    assert all(hasattr(minigpt, name) for name in minigpt.__all__)
    for name in ("GPT", "GPTConfig", "Trainer", "CharTokenizer", "generate", "evaluate", "model_preset", "load_corpus"):
        assert name in minigpt.__all__


def test_what_editors_see_is_what_there_is():
    stub = Path(minigpt.__file__).with_suffix(".pyi").read_text("utf-8")
    seen: dict = {}
    exec(stub, seen)
    assert sorted(seen["__all__"]) == minigpt.__all__
    assert all(seen[name] is getattr(minigpt, name) for name in minigpt.__all__)
    assert {*minigpt.__all__, "__version__"} <= set(dir(minigpt))


def test_no_name_is_that_of_a_module():
    modules = {module.name for module in pkgutil.iter_modules(minigpt.__path__)}
    assert "model" in modules and not modules & set(minigpt.__all__)


def test_an_unknown_name_is_an_ordinary_mistake():
    with pytest.raises(AttributeError, match="module 'minigpt' has no attribute 'GTP'"):
        minigpt.GTP  # noqa: B018


def test_names_can_be_pickled():
    assert pickle.loads(pickle.dumps(minigpt.GPTConfig)) is minigpt.GPTConfig
    assert pickle.loads(pickle.dumps(minigpt.evaluate)) is minigpt.evaluate
