"""A card says what was recorded, and no more than the seeds can show."""

import json

import pytest

from minigpt import UserError
from minigpt.notebook import ablations
from minigpt.notebook.ablations import ablation_card, ablation_table


def variant(*losses: float, arrived: bool = True) -> dict:
    return {
        "runs": {str(seed): {"validation_loss": loss} for seed, loss in enumerate(losses, start=1)},
        "validation_loss": {"mean": sum(losses) / len(losses), "deviation": 0.01},
        "steps_to_target": {"mean": 812.3, "deviation": 12.0} if arrived else None,
        "milliseconds_a_step": 41.26,
        "memory_mb": {"weights": 3.0, "optimizer": 6.0, "activations": 20.5},
        "parameters": 801_234,
    }


@pytest.fixture
def path(tmp_path):
    summary = {
        "variants": {
            "baseline": variant(2.0, 2.1, 2.05),
            "rope": variant(1.9, 2.0, 1.95),
            "gqa": variant(2.1, arrived=False),
        },
        "training": {"max_steps": 100, "batch_size": 12},
        "model": {"block_size": 64},
        "corpus": {"name": "tinyshakespeare"},
        "target_loss": 2.0,
        "machine": {"processor": "a processor", "date": "2026-11-21"},
    }
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(summary), encoding="utf-8")
    return path


def test_a_card_shows_the_change_beside_the_baseline(path):
    text = str(ablation_card("rope", path=path))
    assert "1.9500 ± 0.0100" in text and "2.0500 ± 0.0100" in text
    assert "812 ± 12" in text and "41.3" in text and "29.5" in text and "801,234" in text
    assert "76,800 tokens" in text and "3 seeds" in text and "a processor" in text
    assert "gqa" not in text


def test_a_card_without_names_shows_all(path):
    card = ablation_card(path=path)
    assert [row[0] for row in card.rows] == ["baseline", "rope", "gqa"]
    assert card.rows[2][2] == "–", "a run that never came to the target"
    shown = card._repr_html_()
    assert shown.count("<tr>") == 4 and "rope: better by 0.1000" in shown


def test_the_table_sets_every_change_against_the_baseline(path):
    table = ablation_table(path)
    assert [row[0] for row in table.rows] == ["baseline", "rope", "gqa"]
    baseline, rope, gqa = table.rows
    assert baseline[2:4] == ["", ""] and baseline[5:] == ["1.00", "1.00"]
    assert rope[2].startswith("-0.1000 ± 0.0") and rope[3] == "better"
    assert gqa[2:5] == ["+0.1000", "too few seeds", "–"]
    assert "same seed" in str(table) and "76,800 tokens" in str(table) and "<th scope" in table._repr_html_()


def test_a_record_that_is_still_growing_is_shown_as_it_is(path):
    summary = json.loads(path.read_text("utf-8"))
    del summary["variants"]["rope"]["milliseconds_a_step"]
    summary["variants"]["muon"] = {"runs": {}, "milliseconds_a_step": 3.0}
    path.write_text(json.dumps(summary), encoding="utf-8")
    assert [row[0] for row in ablation_card(path=path).rows] == ["baseline", "rope", "gqa"]
    assert ablation_table(path).rows[1][5] == "–"


def test_an_unknown_name_lists_the_known_ones(path):
    with pytest.raises(UserError, match="There is no ablation 'ropes'; those recorded are rope, gqa"):
        ablation_card("ropes", path=path)


def test_runs_that_are_still_to_come_are_announced(monkeypatch):
    monkeypatch.setattr(ablations, "SUMMARY", "results/ablations/nothing-of-that-name.json")
    assert "not recorded yet" in repr(ablation_card("rope"))
    assert "not recorded yet" in repr(ablation_table())
