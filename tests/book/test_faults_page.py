"""The page on faults says what the records hold."""

import json
import re
from pathlib import Path

import faults_page

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "faults.md").read_text("utf-8")
RECORD = {
    "machine": {"processor": "a slow one", "date": "2000-01-01"},
    "tried": [
        {"fault": "a | b", "outcome": "one sentence", "times": 1200, "held": 1199},
        {"fault": "c", "outcome": "nothing", "times": 3, "held": 3},
    ],
    "mended": ["This was mended."],
}


def test_a_table_shows_every_fault_and_what_was_mended(tmp_path, monkeypatch):
    (tmp_path / "some.json").write_text(json.dumps(RECORD), encoding="utf-8")
    monkeypatch.setattr(faults_page, "FOLDER", tmp_path)
    shown = faults_page.tables("some")
    assert r"| a \| b | one sentence | 1,200 | 1,199 |" in shown
    assert "a slow one, 2000-01-01" in shown and shown.endswith("- This was mended.")
    assert "1,203 faults of 2 kinds" in faults_page.tables("all") and "1,202 of them" in faults_page.tables("all")


def test_a_record_that_is_still_to_come_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(faults_page, "FOLDER", tmp_path)
    assert faults_page.tables("none").startswith("*Not recorded yet")


def test_the_page_shows_every_record():
    assert set(faults_page.records()) <= set(faults_page.BLOCK.findall(PAGE))


def test_no_count_is_typed_into_the_page():
    assert not re.findall(r"\d{3,}|\d %", re.sub(r"`[^`]*`|\(.*?\)", "", PAGE))


def test_every_record_has_the_same_form():
    for name, record in faults_page.records().items():
        assert {"machine", "tried", "mended"} <= record.keys(), name
        assert all(0 <= one["held"] <= one["times"] for one in record["tried"]), name
        assert all(one["held"] == one["times"] for one in record["tried"]), f"{name}: something did not hold"
