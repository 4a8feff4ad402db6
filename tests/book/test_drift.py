"""The prose does not drift from what is run: comparisons are executed, figures come from records, commands exist."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(ROOT.glob("chapters/[0-9]*.ipynb"))
PAGES = [*CHAPTERS, *sorted(ROOT.glob("chapters/appendix_*.ipynb")), ROOT / "README.md"]
PAGES += [
    path for path in sorted(ROOT.glob("book/*.md")) if path.name != "log.md"
]  # each of whose entries has a record
UNITS = r"tokens (?:a|per) second|seconds|minutes|hours|ms\b|s\b|nats|MB|GB|%|times (?:faster|sooner)"
FIGURE = re.compile(rf"(?<![\w./{{(-])\d[\d.,]*\s?(?:{UNITS})")
# Figures with units that were not measured here, by why they may stand in the prose; each is a piece of its line.
HARDWARE = ["with 16 GB", "lanes of PCIe", "NVLink carries", "buckets** of some 25 MB", "16 GB."]
ASSUMED = ["really reached 40 %", "40 % are the weak link", "reaches 40 % of", "reach 40 %", "Our two assumptions"]
CLAIMED = ["a log that claims", "is said to take", "summary says 31 minutes", "A file of 13 MB", "come to 21 minutes?"]
RECKONED = ["with 84% of its size", "so 88 % of", "about 22 % more", "36C^2$", "0.6 GB", "0.05)` goes 5 %"]
RECKONED += ["a step takes about 0.12 s, four times"]
CITED = ["cite:t}`zhang2019root`", "46 % was reported"]
DEFINED = ["95 % interval", "is at 100 %", "at most 1.88 nats", "1 MB is $10^6$ bytes"]
ALLOWED = [*HARDWARE, *ASSUMED, *CLAIMED, *RECKONED, *CITED, *DEFINED]


def lines(path: Path, kind: str = "markdown") -> list[str]:
    if path.suffix == ".md":
        text = path.read_text("utf-8")
    else:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == kind)
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines()


def allowed(line: str) -> bool:
    return any(piece in line for piece in ALLOWED)


def stamped(line: str) -> bool:
    """Whether `make stamp` writes this line, from results/chapters.json."""
    return line.startswith("**Measured:**") or bool(re.match(r"\| \[.*\.ipynb\)", line))


def unexplained(path: Path) -> list[str]:
    """Return the lines of a page with a figure that looks measured, was typed, and has no reason to be."""
    return [line for line in lines(path) if FIGURE.search(line) and not stamped(line) and not allowed(line)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_measured_figure_is_typed_into_the_prose(path):
    assert unexplained(path) == [], "take it from a record, or add it to ALLOWED with its reason"


def test_every_reason_is_still_needed():
    everything = "\n".join(line for path in PAGES for line in lines(path))
    assert [piece for piece in ALLOWED if piece not in everything] == []


def test_typed_figures_are_found(tmp_path):
    (tmp_path / "page.md").write_text("It took 12.3 seconds.\nIt takes time.\nThe loss is 1.53 nats, 4 % less.\n")
    assert len(unexplained(tmp_path / "page.md")) == 2


def same_numbers(path: Path) -> str:
    """Return the code of the section in which a chapter's own version is compared with the package's."""
    code, inside = [], False
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for heading in re.findall(r"^## (.+)$", source, re.MULTILINE):
                inside = heading.startswith("Same numbers?")
        elif inside:
            code.append(source)
    return "\n".join(code)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_asserts_that_its_own_version_is_the_packages(path):
    compared = same_numbers(path)
    if not compared:
        pytest.skip("this chapter builds nothing of the package's")
    asserts = [node for node in ast.walk(ast.parse(compared)) if isinstance(node, ast.Assert)]
    assert asserts or re.search(r"\bassert_\w+\(", compared)


def targets() -> set[str]:
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_the_two_commands_of_the_readme_are_what_continuous_integration_runs():
    block = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)[1]
    promised = re.findall(r"^(make \w+)", block, re.MULTILINE)
    assert promised == ["make book", "make test"]
    ran = re.findall(r"timed (make \w+)", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert ran == promised
    makefile = (ROOT / "Makefile").read_text("utf-8")
    wanted = {"book", *re.search(r"^test: ([\w ]+?) +##", makefile, re.MULTILINE)[1].split()}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    in_jobs = {target for line in re.findall(r"run: make ([\w ]+)", workflow) for target in line.split()}
    assert in_jobs == wanted, "the jobs together run what the two commands do"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "results/README.md", "CHANGELOG.md"])
def test_every_make_target_that_a_page_names_exists(name):
    named = re.findall(r"`make (\w+)", (ROOT / name).read_text("utf-8"))
    assert named == [] or set(named) <= targets()
