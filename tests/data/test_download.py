"""Downloads: checked, kept, and continued where a connection broke off."""

import hashlib
import os
from pathlib import Path

import pytest

from minigpt import UserError
from minigpt.data import download as downloads
from minigpt.data.download import download, fetch

CONTENT = b"FIRST CITIZEN:\nSpeak.\n" * 10
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def address(server, cache) -> str:
    server.files["/text.txt"] = CONTENT
    return f"{server.address}/text.txt"


def test_a_download_is_checked_and_kept(address, cache):
    path = download(address, SHA256, "kept.txt")
    assert path == cache / "kept.txt"
    assert path.read_bytes() == CONTENT
    assert download("http://127.0.0.1:1/nobody-listens", SHA256, "kept.txt") == path
    assert list(cache.iterdir()) == [path]


def test_a_download_with_another_checksum_is_refused_and_begun_anew(address, server, cache):
    for _ in range(2):
        with pytest.raises(UserError, match=r"The download of kept\.txt has another checksum than 0000"):
            download(address, "0" * 64, "kept.txt")
        assert not list(cache.iterdir())
    assert server.asked == [("/text.txt", 0)] * 2


def test_a_damaged_cache_is_fetched_anew(address):
    download(address, SHA256, "kept.txt").write_bytes(b"damaged")
    assert download(address, SHA256, "kept.txt").read_bytes() == CONTENT


def test_a_missing_page_says_so(address):
    with pytest.raises(UserError, match=r"kept\.txt could not be downloaded \(HTTPError\); connect"):
        download(address + "x", SHA256, "kept.txt")


def test_a_cache_that_cannot_be_written_is_named(address, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"kept\.txt could not be downloaded"):
        download(address, SHA256, "kept.txt")


def test_only_what_is_missing_is_asked_for(address, server, monkeypatch):
    monkeypatch.setattr(downloads, "CHUNK_BYTES", 10)
    server.at_most = 100
    assert download(address, SHA256, "kept.txt").read_bytes() == CONTENT
    assert server.asked == [("/text.txt", 0), ("/text.txt", 100), ("/text.txt", 200)]


def test_what_came_before_a_failure_is_kept_for_the_next_run(address, server, cache):
    (cache / ".kept.txt.part").parent.mkdir()
    (cache / ".kept.txt.part").write_bytes(CONTENT[:50])
    server.at_most = 0
    with pytest.raises(UserError, match=r"kept\.txt could not be downloaded \(ConnectionError|ChunkedEncodingError\)"):
        download(address, SHA256, "kept.txt")
    server.at_most = None
    assert download(address, SHA256, "kept.txt").read_bytes() == CONTENT
    assert {start for _, start in server.asked} == {50}


def test_a_server_that_cannot_continue_sends_everything_again(address, server, cache):
    cache.mkdir()
    (cache / ".kept.txt.part").write_bytes(CONTENT[:50])
    server.continues = False
    assert download(address, SHA256, "kept.txt").read_bytes() == CONTENT


def test_a_run_killed_after_the_last_byte_has_nothing_left_to_fetch(address, cache):
    cache.mkdir()
    (cache / ".kept.txt.part").write_bytes(CONTENT)
    assert download(address, SHA256, "kept.txt").read_bytes() == CONTENT


@pytest.mark.parametrize("moment", range(1, 15))
def test_a_kill_leaves_nothing_but_what_the_next_call_goes_on_with(address, server, cache, killed_at, moment):
    killed_at(moment, lambda: download(address, SHA256, "kept.txt"))
    assert {path.name for path in cache.glob("*")} <= {".kept.txt.part", "kept.txt"}
    assert download(address, SHA256, "kept.txt").read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == ["kept.txt"]


def test_a_kill_during_the_check_loses_no_byte(address, server, cache, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(hashlib, "file_digest", lambda *arguments: os._exit(9))
        child = os.fork() if hasattr(os, "fork") else pytest.skip("only Unix can fork")
        if child == 0:
            try:
                download(address, SHA256, "kept.txt")
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert download(address, SHA256, "kept.txt").read_bytes() == CONTENT
    assert server.asked == [("/text.txt", 0), ("/text.txt", len(CONTENT))]


def test_a_folder_of_data_comes_before_the_network(tmp_path, monkeypatch, cache, no_network):
    (tmp_path / "kept.txt").write_bytes(CONTENT)
    monkeypatch.setenv("MINIGPT_DATA", str(tmp_path))
    assert fetch("http://nowhere/", SHA256, "kept.txt") == Path(tmp_path / "kept.txt")
    with pytest.raises(UserError, match=rf"kept\.txt has the checksum {SHA256[:12]}…, not 0000"):
        fetch("http://nowhere/", "0" * 64, "kept.txt")
    with pytest.raises(UserError, match=r"other\.txt could not be downloaded"):
        fetch("http://nowhere/", SHA256, "other.txt")
