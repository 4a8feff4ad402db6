"""The record of a run: what is written is read back, and damage is named by its line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import RunLog, StepMetrics, UserError, read_run
from minigpt.checkpoint.run_log import append_metrics, write_run

FINITE = st.floats(allow_nan=False)
RECORDS = st.builds(
    StepMetrics,
    step=st.integers(1, 10**9),
    loss=FINITE,
    learning_rate=FINITE,
    gradient_norm=FINITE,
    seconds=FINITE,
    tokens_per_second=FINITE,
    peak_memory_mb=FINITE,
    memory_mb=st.none() | FINITE,
    gpu_percent=st.none() | FINITE,
    validation_loss=st.none() | FINITE,
    best=st.booleans(),
    sample=st.none() | st.text(st.characters(exclude_categories=())),
)


def make_record(step: int, **changes) -> StepMetrics:
    numbers = {"loss": 1.0, "learning_rate": 0.1, "gradient_norm": 2.0, "seconds": 3.0}
    return StepMetrics(step=step, **(numbers | {"tokens_per_second": 4.0, "peak_memory_mb": 5.0} | changes))


@given(RECORDS)
def test_a_record_survives_its_line(record):
    line = record.to_line()
    assert "\n" not in line
    found = StepMetrics(**json.loads(line))
    assert (found.step, found.best, found.sample) == (record.step, record.best, record.sample)
    assert found.loss == pytest.approx(record.loss, rel=1e-5)
    assert found.to_line() == line


def test_a_line_keeps_six_digits_and_leaves_out_what_is_empty():
    line = make_record(7, loss=1.23456789, learning_rate=1.5e-05, validation_loss=0.0).to_line()
    assert json.loads(line) == {
        "step": 7,
        "loss": 1.23457,
        "learning_rate": 1.5e-05,
        "gradient_norm": 2.0,
        "seconds": 3.0,
        "tokens_per_second": 4.0,
        "peak_memory_mb": 5.0,
        "validation_loss": 0.0,
    }


def test_a_run_is_read_back(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    records = [make_record(1), make_record(2, validation_loss=2.0), make_record(3, validation_loss=1.5, best=True)]
    write_run(path, {"name": "é"}, records[:1])
    for record in records[1:]:
        append_metrics(path, record)
    assert read_run(path) == RunLog({"name": "é"}, records)
    assert [record.step for record in read_run(path).evaluations] == [2, 3]
    assert read_run(path).best.step == 3
    assert [file.name for file in path.parent.iterdir()] == ["log.jsonl"]


def test_a_run_without_evaluation_has_no_best():
    with pytest.raises(UserError, match="no validation loss yet"):
        _ = RunLog({}, [make_record(1)]).best


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    write_run(path, {"a": 1}, [make_record(1), make_record(2)])
    content = path.read_bytes()
    second = content.index(b"\n", content.index(b"\n") + 1)
    for length in range(second + 1, len(content)):
        path.write_bytes(content[:length])
        assert [record.step for record in read_run(path).records] == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; it should begin with a header line"),
        (b'{"a": 1', "is empty; it should begin with a header line"),
        (b'{"a": 1}\n{"step": \n', "line 2 is not valid JSON"),
        (b'{"a": 1}\n\n', "line 2 is not valid JSON"),
        (b'{"a": 1}\n[1]\n', "line 2 is not a JSON object"),
        (b"5\n", "line 1 is not a JSON object"),
        (b'{"a": 1}\n{"step": 1}\n', "holds a line that is not a training record"),
        (b'{"a": 1}\n{"steps": 1}\n', "holds a line that is not a training record"),
        (b'\xff{"a": 1}\n', "line 1 is not valid JSON"),
        (b"[" * 99_999 + b"\n", "line 1 is not valid JSON"),
    ],
)
def test_damage_is_named_by_its_line(tmp_path, content, message):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_run(path)
    assert str(path) in str(error.value) and message in str(error.value)


def test_a_missing_record_is_named(tmp_path):
    for path in (tmp_path / "log.jsonl", tmp_path):
        with pytest.raises(UserError, match="is not a file; check the path of the record"):
            read_run(path)


def test_a_full_disk_leaves_the_earlier_record(tmp_path, full_disk):
    path = tmp_path / "log.jsonl"
    write_run(path, {"a": 1}, [make_record(1)])
    with full_disk(5), pytest.raises(UserError, match=r"log\.jsonl cannot be written .*; make room"):
        write_run(path, {"a": 2})
    with full_disk(path.stat().st_size + 9), pytest.raises(UserError, match=r"log\.jsonl cannot be written"):
        append_metrics(path, make_record(2))
    assert read_run(path) == RunLog({"a": 1}, [make_record(1)])
    assert [file.name for file in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_record(tmp_path, killed_at):
    path, moment, killed, seen = tmp_path / "log.jsonl", 0, True, []
    while killed:
        moment += 1
        write_run(path, {"a": 1}, [make_record(1)])
        killed = killed_at(moment, lambda: write_run(path, {"a": 2}, [make_record(2)]))
        run = read_run(path)
        assert run in (RunLog({"a": 1}, [make_record(1)]), RunLog({"a": 2}, [make_record(2)]))
        seen.append(run.header["a"])
    assert seen == sorted(seen) and set(seen) == {1, 2}


def test_a_record_is_replaced_by_a_new_file_and_not_written_over(tmp_path):
    path = tmp_path / "log.jsonl"
    write_run(path, {"a": 1})
    before = path.stat().st_ino
    write_run(path, {"a": 2})
    assert path.stat().st_ino != before


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"log\.jsonl cannot be written"):
        write_run(tmp_path / "file" / "log.jsonl", {})
    with pytest.raises(UserError, match=r"log\.jsonl cannot be written"):
        append_metrics(tmp_path / "file" / "log.jsonl", make_record(1))
