"""Every command that a page shows exists, with every option that it shows."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import typer

from minigpt.cli import typer_app as app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *ROOT.glob("book/*.md"), *ROOT.glob("checkpoints/*/README.md")]
PAGES += [
    ROOT / "space" / "README.md",
    *ROOT.glob("chapters/*.ipynb"),
    *ROOT.glob("chapters/solutions/*.ipynb"),
]
COMMAND_LINE = typer.main.get_command(app)
SHOWN = re.compile(r"^(?:srun |torchrun .*-m )?minigpt (.+)$")


def prose(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text("utf-8")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def commands(path: Path) -> list[str]:
    """Return what follows `minigpt` in the commands of a page, in blocks and between backticks."""
    text = prose(path)
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
    lines = [re.sub(r"^(srun )?torchrun .*?-m ", "", line.strip()) for line in blocks.splitlines()]
    lines += re.findall(r"`(minigpt [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [found[1].split(" #")[0] for line in lines if (found := SHOWN.match(line.replace("\n", " ")))]


def unknown(command: str) -> list[str]:
    """Return the words of a command that the command line does not know: a command or options."""
    here = COMMAND_LINE
    words = shlex.split(command)
    while hasattr(here, "commands"):
        word = words.pop(0) if words else "--help"
        if word in ("--help", "-h", "COMMAND", "…"):
            return []
        if word not in here.commands:
            return [word]
        here = here.load(word)
    options = {name for option in here.params for name in [*option.opts, *option.secondary_opts]}
    return [word for word in words if word.startswith("--") and word.split("=")[0] not in {*options, "--help"}]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_shows_exists(path):
    wrong = {command: words for command in commands(path) if (words := unknown(command))}
    assert not wrong


def test_every_name_that_the_readme_imports_exists():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    imported = re.findall(r"^from (\S+) import (.+)$", "\n".join(blocks), re.MULTILINE)
    assert len(imported) > 2
    for module, names in imported:
        assert all(hasattr(import_module(module), name) for name in names.split(", ")), (module, names)


def test_commands_are_found_wherever_they_stand():
    shown = [command for path in PAGES for command in commands(path)]
    assert len(shown) > 20
    many = commands(ROOT / "chapters" / "appendix_many_gpus.ipynb")
    assert sum("--batch-size" in command for command in many) == 2
    assert sum(command.startswith("train $what") for command in many) == 1, "in the Slurm script"
    assert unknown("train --presets x") == ["--presets"] and unknown("trane") == ["trane"]
    assert unknown("evaluate --checkpoint x --json -") == []
