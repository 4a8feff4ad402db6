"""The tables of the page of results: read from records, with where they come from, and calm where there is none yet."""

import json
import re
from pathlib import Path

from minigpt.notebook.results import (
    _about,
    first_cases,
    machine_of,
    made_by,
    read_record,
    record_names,
    results,
    sources,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "chapters" / "appendix_results.ipynb"


def test_a_table_names_its_record_its_machine_and_its_command():
    shown = results("gates.json", ("MLP", "seeds"), lambda record: [(kind, 3) for kind in record["runs"]])
    text = shown._repr_markdown_()
    assert "| SwiGLU | 3 |" in text
    assert "Record: `results/gates.json`" in text
    assert "made by `python -m experiments.gates`" in text
    assert re.search(r"\d thread", text)
    assert repr(shown) == text


def test_records_of_one_origin_share_a_sentence():
    here = {"machine": {"processor": "p", "threads": 1, "torch": "t", "date": "2026-01-01"}}
    there = {"machine": {**here["machine"], "threads": 2}}
    text = sources({"gates.json": here, "other.json": {}, "benchmarks/a.json": there, "benchmarks/b.json": there})
    assert text.split("\n\n") == [
        "Record: `results/gates.json`; p, 1 thread, torch t, 2026-01-01; made by `python -m experiments.gates`.",
        "Record: `results/other.json`.",
        "Records: `results/benchmarks/a.json`, `results/benchmarks/b.json`; p, 2 threads, torch t, 2026-01-01; "
        "made by `make bench`.",
    ]


def test_a_record_that_is_still_to_come_is_a_sentence():
    assert repr(results("nothing.json")) == "Not recorded yet: `results/nothing.json` will hold it."


def test_values_are_written_as_a_reader_would_write_them():
    row = (12_345, 0.123456789, None, "as it is")
    assert results("gates.json", "abcd", lambda _: [row]).rows == (("12,345", "0.123457", "–", "as it is"),)


def test_a_record_without_a_table_of_its_own_shows_its_cases():
    shown = results("planner-memory.json")
    assert shown.titles[:2] == ("case", "preset")
    assert "measured mb" not in shown.titles
    assert len(shown.rows) == len(first_cases(read_record("planner-memory.json")))


def test_a_machine_is_found_at_any_depth():
    machine = {"processor": "p", "threads": 1, "torch": "t", "date": "d"}
    assert machine_of({"a": {"machine": machine}}) == machine
    assert machine_of({"a": [1]}) is None


def test_the_readme_says_what_every_record_holds_and_what_made_it():
    untold = [name for name in record_names() if not _about(name)]
    assert not untold, f"results/README.md needs a line on {untold}"
    commands = {name: made_by(name) for name in record_names()}
    unmade = [name for name, command in commands.items() if not command]
    assert not unmade, f"the lines on {unmade} in results/README.md need a `made by` with a command"
    scripts = {command.split()[-1] for command in commands.values() if not command.startswith("make ")}
    gone = [name for name in scripts if not (ROOT / f"{name.replace('.', '/')}.py").exists()]
    assert not gone, f"results/README.md names {gone}, which do not exist"


def test_the_page_shows_every_record():
    source = "".join("".join(cell["source"]) for cell in json.loads(PAGE.read_text("utf-8"))["cells"])
    shown = set(re.findall(r'"([\w-]+\.jsonl?)"', source))
    elsewhere = {"memorization.jsonl"}  # the run itself; what was measured on the way stands in memorization.json
    elsewhere |= {"replay.json", "colab.json"}  # which have pages of their own
    folders = {name for name in record_names() if "/" in name}
    assert not set(record_names()) - shown - elsewhere - folders, "give these a table on the page of results"
