"""What the book's build puts beside the playground: scripts, models, and what was measured of them."""

import json
import re
from pathlib import Path

import pytest
from playground import BUILT_IN, FOLDER, MODELS, RECORD, ROOT, recorded_rounding, write_playground


def test_the_record_is_of_the_shipped_weights_and_rounding_costs_little():
    for name in MODELS:
        found = recorded_rounding(ROOT / "checkpoints" / name)
        assert found is not None and found["tokens"] > 100_000
        assert abs(found["rounded_loss"] - found["loss"]) < 0.01
        text = (ROOT / "checkpoints" / name / "README.md").read_text("utf-8")
        whole = float(re.search(r"whole validation split \| ([\d.]+)", text)[1])
        assert found["loss"] == pytest.approx(whole, abs=0.05)


def test_what_was_measured_of_other_weights_is_not_told(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"other")
    assert recorded_rounding(folder) is None


def test_everything_that_the_page_fetches_is_written_anew(tmp_path):
    (tmp_path / "old.js").write_text("")
    write_playground(tmp_path)
    assert not (tmp_path / "old.js").exists()
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {path.name for path in (ROOT / FOLDER).iterdir()} - set(BUILT_IN) | {"models"}
    for name in MODELS:
        manifest = json.loads((tmp_path / "models" / name / "manifest.json").read_text())
        assert manifest["validation"] == json.loads(RECORD.read_text())["models"][name]["precisions"]["int8"]


def test_the_panel_asks_for_nothing_from_elsewhere():
    for path in Path(ROOT / FOLDER).iterdir():
        assert not re.search(r"https?://|\bimport\(", path.read_text("utf-8")), path
