"""The records of the fault campaigns: all of one form, and none of them with a fault that did not hold."""

import json

import pytest

from tests.faults.record import FOLDER, Campaign

RECORDS = sorted(FOLDER.glob("*.json"))


def test_a_campaign_counts_and_writes_what_it_tried(tmp_path, capsys):
    campaign = Campaign("cuts", counts={"steps": 7})
    campaign.note("a file cut short", "one sentence", True)
    campaign.note("a file cut short", "one sentence", False, "byte 3 of a.json:")
    campaign.note("a missing file", "one sentence", True)
    values = json.loads(campaign.write(["the ends of lines"], folder=tmp_path / "new").read_text("utf-8"))
    assert values["tried"] == [
        {"fault": "a file cut short", "outcome": "one sentence", "times": 2, "held": 1},
        {"fault": "a missing file", "outcome": "one sentence", "times": 1, "held": 1},
    ]
    assert values["mended"] == ["the ends of lines"] and values["steps"] == 7
    assert values["machine"]["date"]
    assert campaign.tell() == 1, "the exit code of a campaign that found something"
    assert "FAILED  a file cut short: byte 3 of a.json: one sentence" in capsys.readouterr().out


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_record_has_the_same_form_and_everything_held(path):
    values = json.loads(path.read_text("utf-8"))
    assert values["machine"].keys() >= {"date", "processor", "torch", "python"}
    assert all(isinstance(text, str) for text in values["mended"])
    for entry in values["tried"]:
        assert entry.keys() == {"fault", "outcome", "times", "held"}
        assert entry["held"] == entry["times"] > 0, entry
