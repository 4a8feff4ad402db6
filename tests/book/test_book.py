"""The book's own tests: what holds for every chapter, every page and every tracked file."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from minigpt.notebook import plots
from scripts.stamp import SETUP_COMMENT

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(ROOT.glob("chapters/[0-9]*.ipynb"))
SOLUTIONS = sorted(ROOT.glob("chapters/solutions/[0-9]*.ipynb"))
APPENDICES = sorted(ROOT.glob("chapters/appendix_*.ipynb"))
NOTEBOOKS = CHAPTERS + SOLUTIONS + APPENDICES
SECTIONS = ("From scratch", "Same numbers?", "In the package", "Exercises", "Check yourself", "Summary", "Read on")
DRAWING = [
    name
    for name, one in list(vars(plots).items())
    if "Figure" in str(getattr(one, "__annotations__", {}).get("return"))
]
PICTURES = re.compile(rf"\bplots\.({'|'.join(DRAWING)})\(|\blive_plot\(")
TEXT_SUFFIXES = {".py", ".md", ".ipynb", ".toml", ".yml", ".yaml", ".txt", ".json", ".cff", ".sh", ".css", ".svg", ""}


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def sources(path: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == kind]


def headings(path: Path) -> list[str]:
    return re.findall(r"^#{2,3} (.+)$", "\n".join(sources(path, "markdown")), re.MULTILINE)


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in TEXT_SUFFIXES]


def files_with(pattern: re.Pattern, suffixes: set[str]) -> list[str]:
    texts = {path: path.read_text("utf-8") for path in tracked_files() if path.suffix in suffixes}
    return [path.relative_to(ROOT).as_posix() for path, text in texts.items() if pattern.search(text)]


def toc_entries() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "chapters").as_posix()


every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=name_of)


def test_the_table_of_contents_names_every_page_once():
    entries = toc_entries()
    assert len(entries) == len(set(entries))
    pages = [path.relative_to(ROOT).with_suffix("").as_posix() for path in [*NOTEBOOKS, *ROOT.glob("book/*.md")]]
    assert sorted(entries) == sorted(pages)


def test_every_chapter_has_its_solutions():
    assert [path.name for path in CHAPTERS] == [path.name for path in SOLUTIONS]


def test_the_readme_lists_every_chapter():
    listed = re.findall(r"\(chapters/(\w+\.ipynb)\)", (ROOT / "README.md").read_text("utf-8"))
    assert listed == [path.name for path in CHAPTERS]


@every_notebook
def test_outputs_are_stripped(path):
    code = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code), "run `make strip`"


@every_notebook
def test_cells_have_ids_of_their_own(path):
    notebook = read(path)
    ids = [cell.get("id") for cell in notebook["cells"]]
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)
    assert all(ids)
    assert len(ids) == len(set(ids))


@every_notebook
def test_the_kernel_is_plain_python(path):
    metadata = read(path)["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    assert metadata["language_info"]["name"] == "python"


@every_notebook
def test_the_first_code_cell_is_the_setup_cell(path):
    assert sources(path, "code")[0].startswith(SETUP_COMMENT)


@every_notebook
def test_nothing_reaches_outside_its_folder(path):
    # A link may: the reader follows it in the book. Code may not: on Colab there is only the notebook.
    assert not [source for source in sources(path, "code") if "../" in source]


@every_notebook
def test_only_the_first_heading_is_a_title(path):
    prose = re.sub(r"```.*?```", "", "\n".join(sources(path, "markdown")), flags=re.DOTALL)
    assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1


@every_chapter
def test_a_chapter_has_every_section_in_order(path):
    found = [next((i for i, h in enumerate(headings(path)) if name.lower() in h.lower()), None) for name in SECTIONS]
    missing = [name for name, index in zip(SECTIONS, found, strict=True) if index is None]
    assert not missing
    assert found == sorted(found)


@every_notebook
def test_every_source_that_is_cited_is_in_the_bibliography(path):
    known = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book" / "references.bib").read_text("utf-8"), re.MULTILINE))
    groups = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", "\n".join(sources(path, "markdown")))
    assert {key.strip() for group in groups for key in group.split(",")} <= known


@every_chapter
def test_a_chapter_has_exercises_with_hints_and_a_quiz(path):
    code = "\n".join(sources(path, "code"))
    checked = set(re.findall(r"\bcheck\.(\w+)\(", code))
    assert len(checked) >= 3
    assert checked <= set(re.findall(r'\bhints\("(\w+)"\)', code))
    assert f'quiz("{path.stem}")' in code


@every_notebook
def test_every_figure_says_what_it_shows(path):
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    drawing = [cell for cell in cells if PICTURES.search("".join(cell["source"]))]
    silent = [cell["id"] for cell in drawing if not alt_text(cell)]
    assert not silent, "give these cells metadata.mystnb.image.alt"


def alt_text(cell: dict) -> str:
    return cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")


def test_every_picture_in_the_prose_says_what_it_shows():
    pages = {path.name: path.read_text("utf-8") for path in ROOT.glob("book/*.md")}
    pages |= {path.name: "\n".join(sources(path, "markdown")) for path in NOTEBOOKS}
    silent = re.compile(r"!\[\s*\]\(|```\{(image|figure)\}(?![^`]*:alt: \S)|<img (?![^>]*alt=\"\w)")
    assert not [name for name, text in pages.items() if silent.search(text)]


@every_notebook
def test_every_code_cell_is_python(path):
    for source in sources(path, "code")[1:]:
        ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))


def test_no_page_installs_somebody_elses_package():
    forbidden = re.compile(r"pip install (-\S+ )*minigpt\b(?!-)")
    assert not files_with(forbidden, {".md", ".ipynb", ".py", ".toml"})


def test_no_file_knows_the_machine_that_it_was_written_on():
    assert not files_with(re.compile(r"(?<![\w.])/(work|root|tmp|home/\w+|Users/\w+)/"), TEXT_SUFFIXES)


def test_no_merge_was_left_half_done():
    assert not files_with(re.compile(r"^(<{7} |>{7} )", re.MULTILINE), TEXT_SUFFIXES)


def test_every_link_of_the_readme_leads_somewhere():
    for page in ("README.md", "CONTRIBUTING.md"):
        links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text("utf-8"))
        assert not [link for link in links if not (ROOT / link).exists()]


def test_every_direct_dependency_is_pinned():
    project = (ROOT / "pyproject.toml").read_text()
    pinned = {line.split("==")[0].lower() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    lists = project.split("[project.scripts]")[0].split("dependencies = [", 1)[1]
    named = set(re.findall(r'^    "([a-z][\w-]*)', lists, re.MULTILINE))
    assert not named - pinned - {"minigpt-book"}
