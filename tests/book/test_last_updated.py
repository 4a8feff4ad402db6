"""A page's date comes from the history, and there is none without it."""

import os
import subprocess
from datetime import date
from pathlib import Path

from last_updated import MARK, dates_of_changes, latest_dates


def commit(folder: Path, name: str, day: str) -> None:
    (folder / name).write_text(day)
    who = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    when = {f"GIT_{role}_DATE": f"{day}T12:00:00Z" for role in ("AUTHOR", "COMMITTER")}
    for command in (["add", "."], ["commit", "-q", "-m", day]):
        subprocess.run(["git", "-C", folder, *command], check=True, env={**os.environ, **who, **when})


def test_a_file_has_the_date_of_its_latest_commit(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name, day in (("one.md", "2026-01-02"), ("zwölf.md", "2026-02-03"), ("one.md", "2026-03-04")):
        commit(tmp_path, name, day)
    assert dates_of_changes(tmp_path) == {"one.md": date(2026, 3, 4), "zwölf.md": date(2026, 2, 3)}


def test_a_clone_without_its_history_knows_no_dates(tmp_path):
    source = tmp_path / "source"
    subprocess.run(["git", "init", "-q", source], check=True)
    commit(source, "one.md", "2026-01-02")
    commit(source, "one.md", "2026-03-04")
    subprocess.run(["git", "clone", "-q", "--depth=1", source.as_uri(), tmp_path / "clone"], check=True)
    assert dates_of_changes(tmp_path / "clone") == {}


def test_a_folder_outside_git_and_a_machine_without_git_know_no_dates(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert dates_of_changes(tmp_path) == {}
    monkeypatch.setenv("PATH", "")
    assert dates_of_changes(tmp_path) == {}


def test_the_first_date_of_a_log_counts():
    assert latest_dates(f"{MARK}2026-03-04\n\na\n{MARK}2026-01-02\n\na\nb\n") == {
        "a": date(2026, 3, 4),
        "b": date(2026, 1, 2),
    }
