"""The fault campaigns in miniature; `make faults` runs them at length and keeps the records."""

import os
import random
import sys
from importlib.util import find_spec

import pooch
import pytest
import torch

from minigpt import UserError
from minigpt.data import documents, download
from tests.faults import damage, led_by_coverage
from tests.faults.crowds import crowd, second_trainer, watched_training
from tests.faults.full_disk import can_mount, full_disks, full_for_one_file, read_only
from tests.faults.killed_files import killed_downloads, killed_preparing
from tests.faults.killed_training import WAYS, Killing
from tests.faults.record import Campaign
from tests.faults.torchrun import killed_torchrun

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix can fork")


@pytest.fixture
def campaign(monkeypatch):
    """A campaign in which everything has to hold, and which leaves this process as it was."""
    for owner, name in (
        (download, "CHUNK_BYTES"),
        (download, "TIMEOUT"),
        (pooch, "os_cache"),
        (documents, "_BLOCK_BYTES"),
        (documents, "BATCH"),
        (sys, "argv"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    campaign = Campaign("trial")
    yield campaign
    torch.set_num_threads(before)
    assert campaign.times > 0 and not campaign.failures


@pytest.mark.slow
def test_downloads_that_are_killed_and_servers_that_fail(campaign, tmp_path):
    killed_downloads(campaign, tmp_path / "downloads", random.Random(0), kills=3)


@pytest.mark.slow
def test_shards_that_are_killed_while_they_are_prepared(campaign, tmp_path):
    killed_preparing(campaign, tmp_path / "shards", random.Random(0), kills=8)


@pytest.mark.slow
def test_files_of_another_model_are_refused(campaign, tmp_path):
    damage.mix_up(campaign, tmp_path)


def test_several_processes_at_one_folder(campaign, tmp_path):
    crowd(campaign, tmp_path / "crowd", seconds=0.5)
    watched_training(campaign, tmp_path / "watched", seconds=2.0)
    second_trainer(campaign, tmp_path / "second")


def test_what_went_wrong_is_told_apart(tmp_path):
    def fail(error: Exception):
        raise error

    assert damage.result(lambda: "whole", tmp_path) == "whole"
    assert damage.result(lambda: fail(UserError(f"{tmp_path} is damaged.")), tmp_path) == "refused"
    assert damage.result(lambda: fail(UserError("It is damaged.")), tmp_path) == "it says: It is damaged."
    assert damage.result(lambda: fail(UserError(f"{tmp_path}\nis damaged.")), tmp_path).startswith("it says: ")
    assert damage.result(lambda: fail(KeyError("parts")), tmp_path) == "KeyError: 'parts'"


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_training_that_is_killed(campaign, tmp_path, way, processes):
    Killing(tmp_path, random.Random(0), processes).try_to_break(campaign, way, kills=4, **WAYS[way])


@pytest.mark.slow
def test_a_whole_torchrun_of_which_one_process_is_killed(campaign, tmp_path):
    killed_torchrun(campaign, tmp_path, random.Random(0), kills=1)


@pytest.mark.slow
def test_damaged_files(campaign, tmp_path):
    damage.damaged(campaign, tmp_path, random.Random(0), bits=2)


@pytest.fixture
def mounting(tmp_path):
    """Named before `campaign`, so that a test which is skipped begins none."""
    if not can_mount(tmp_path):
        pytest.skip("This process may not mount a disk.")


@pytest.mark.slow
def test_full_disks_and_disks_that_can_only_be_read(mounting, campaign, tmp_path):
    full_disks(campaign, tmp_path / "full", range(4, 200, 48))
    full_for_one_file(campaign, tmp_path / "one")
    read_only(campaign, tmp_path / "read")


def test_without_atheris_no_parser_is_tried(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(led_by_coverage, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["led_by_coverage", "--out", str(tmp_path)])
    led_by_coverage.main()
    assert "no parser was tried; pip install atheris" in capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: pip install atheris")
def test_files_that_atheris_makes(campaign):
    led_by_coverage.try_parser(campaign, "config.json", cases=500)
    assert campaign.times == 500
