"""Texts on the command line: in folders, packed, on standard input, with marks and returns; and escapes."""

import gzip
import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import CharTokenizer, checkpoint, load_tokenizer, open_shards
from minigpt.cli.options import open_corpus, unescape

LINES = "the cat sat on the mat\n\nthe dog did not\n\n" * 40


@pytest.fixture
def send(monkeypatch):
    """Put bytes on standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


def prepare(minigpt, tmp_path, *options):
    return minigpt("data", "prepare", "--tokenizer", "char", "--out", tmp_path / "out", *options)


@pytest.mark.parametrize("separator", [r"\r\n\r\n", "\r\n\r\n"])
def test_returns_can_stand_in_a_separator(minigpt, tmp_path, separator):
    path = tmp_path / "windows.txt"
    path.write_bytes(LINES.replace("\n", "\r\n").encode())
    code, _, err = prepare(minigpt, tmp_path, "--text", path, "--separator", r"\n\n")
    assert code == 1 and r"lines end in \r\n there, so name '\r\n\r\n'." in err
    assert not (tmp_path / "out").exists()
    code, out, err = prepare(minigpt, tmp_path, "--text", path, "--separator", separator)
    assert code == 0 and "train 1,495 tokens in 76 documents" in out, err


def test_a_request_that_fails_leaves_the_folder_free(minigpt, tmp_path):
    (tmp_path / "a.txt").write_text("one#two")
    given = ("--text", tmp_path / "a.txt", "--separator")
    code, _, err = prepare(minigpt, tmp_path, *given, "#")
    assert code == 1 and "Of 2 documents one part gets none" in err
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {".lock"}
    assert prepare(minigpt, tmp_path, *given, "#", "--val-fraction", 0.5)[0] == 0


def test_no_mark_gets_into_vocabularies_and_shards(minigpt, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_bytes(b"\xef\xbb\xbf" + LINES.encode())
    files = [word for number in range(3) for word in ("--text", tmp_path / f"{number}.txt")]
    assert prepare(minigpt, tmp_path, *files)[0] == 0
    assert "\ufeff" not in open_shards(tmp_path / "out").tokenizer.characters
    assert "\ufeff" not in open_corpus(None, tmp_path / "0.txt").text
    learnt = tmp_path / "learnt.json"
    code, _, _ = minigpt("tokenizer", "train", "--text", tmp_path / "0.txt", "--vocab-size", 270, "--out", learnt)
    assert code == 0 and not any(b"\xbb" in token for token in load_tokenizer(learnt).tokens[256:])


@pytest.mark.parametrize("place", ["file", "packed", "folder", "standard input", "rows"])
def test_the_same_text_comes_from_everywhere(minigpt, tmp_path, send, place):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / {"packed": "a.txt.gz", "rows": "a.jsonl"}.get(place, "a.txt")
    content = json.dumps({"text": LINES}).encode() if place == "rows" else LINES.encode()
    path.write_bytes(gzip.compress(content) if place == "packed" else content)
    send(content)
    given = {"folder": path.parent, "standard input": "-"}.get(place, path)
    learnt = tmp_path / "learnt.json"
    code, out, err = minigpt("tokenizer", "train", "--text", given, "--vocab-size", 270, "--out", learnt)
    assert code == 0 and f"{len(LINES):,} characters" in out, err
    send(content)
    more = () if place == "rows" else ("--separator", r"\n\n")
    code, out, err = prepare(minigpt, tmp_path, "--text", given, "--val-fraction", 0.5, *more)
    assert code == (1 if place == "rows" else 0), err


def test_another_field_is_taken_of_rows(minigpt, tmp_path):
    rows = [json.dumps({"story": f"story {number}", "text": "no"}) for number in range(4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    options = ("--text", tmp_path / "rows.jsonl", "--field", "story", "--val-fraction", 0.5)
    assert prepare(minigpt, tmp_path, *options)[0] == 0
    prepared = open_shards(tmp_path / "out")
    assert prepared.tokenizer.decode(prepared.split.train[:].tolist()) == "story 0\nstory 2"


@pytest.mark.parametrize(("content", "said"), [(b"", "Standard input gives no text"), (b"\xff", "is not UTF-8 text")])
def test_nothing_or_nonsense_on_standard_input_is_named(minigpt, tmp_path, send, content, said):
    send(content)
    code, _, err = prepare(minigpt, tmp_path, "--text", "-")
    assert code == 1 and said in err


def test_a_character_that_is_unknown_gets_advice_that_can_be_followed(minigpt, saved):
    code, _, err = minigpt("generate", "--checkpoint", saved, "--prompt", "Ω")
    assert code == 1 and "unknown=" not in err and "train with a tokenizer that has it" in err


# --- escapes


@pytest.mark.parametrize(
    ("written", "meant"),
    [(r"A:\n", "A:\n"), (r"\t\r", "\t\r"), (r"\\n", r"\n"), (r"\\\n", "\\\n"), (r"\x\d\"", r"\x\d\""), ("\\", "\\")],
)
def test_an_escape_stands_for_a_character(written, meant):
    assert unescape(written) == meant


@given(st.text(st.sampled_from("\\ntr \n\t\rab")))
def test_every_text_can_be_written(text):
    written = text
    for character, escape in (("\\", r"\\"), ("\n", r"\n"), ("\t", r"\t"), ("\r", r"\r")):
        written = written.replace(character, escape)
    assert unescape(written) == text


def test_a_prompt_and_a_stop_understand_escapes(minigpt, tmp_path, make_model):
    tokenizer = CharTokenizer.from_text("A:\nb")
    checkpoint.save(tmp_path / "saved", make_model(vocab_size=4), tokenizer)
    given = ("generate", "--checkpoint", tmp_path / "saved", "--seed", 1, "--max-new-tokens", 60, "--prompt", r"A:\n")
    code, out, err = minigpt(*given)
    assert code == 0 and out.startswith("A:\n") and "\n" in out[3:-1], err
    code, stopped, _ = minigpt(*given, "--stop", r"\n")
    assert code == 0 and "\n" not in stopped[3:-1] and out.startswith(stopped[:-1])
