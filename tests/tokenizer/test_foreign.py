"""Tokenizers in other programs' files: the ids are those of transformers, and bad files give one sentence."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError
from minigpt.tokenizer.foreign import find_tokenizer, read_tokenizer
from minigpt.tokenizer.hf import to_hf_tokenizer

TRAINING = "der Hund und die Katze, the cat's 1234 mats; naïve 日本 日本 🙂🙂 \n\n  the  end\n" * 3
OURS = BPETokenizer.train(TRAINING, 290)
TEXTS = st.text(st.sampled_from(TRAINING + "xyz<|endoftext|>[PAD]"), max_size=30)


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="transformers is not installed")


def write_two_files(folder, tokenizer=OURS, line_end="\n", names=("vocab.json", "merges.txt"), special_last=True):
    """The two files of a GPT-2, with <|endoftext|> in the vocabulary as GPT-2 has it."""
    folder.mkdir(exist_ok=True, parents=True)
    model = to_hf_tokenizer(tokenizer)["model"]
    vocabulary = model["vocab"] | tokenizer.special_tokens
    (folder / names[0]).write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"]), ""]
    (folder / names[1]).write_bytes(line_end.join(lines).encode())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_two_files(tmp_path_factory.mktemp("two") / "files")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("names", [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")])
def test_two_files_are_a_tokenizer(tmp_path, line_end, names):
    found = find_tokenizer(write_two_files(tmp_path / "in", line_end=line_end, names=names))
    assert found.to_dict() == OURS.to_dict()


@settings(max_examples=50)
@given(text=TEXTS)
def test_its_ids_are_those_of_transformers(folder, transformers, text):
    theirs = _theirs(transformers, folder)
    ours = find_tokenizer(folder)
    assert ours.encode(text, allow_special=True) == theirs(text)["input_ids"]


_CACHE: dict[str, object] = {}


def _theirs(transformers, folder):
    if str(folder) not in _CACHE:
        _CACHE[str(folder)] = transformers.GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    return _CACHE[str(folder)]


def test_a_tokenizer_that_transformers_saves_is_read(tmp_path, folder, transformers):
    theirs = transformers.GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    theirs.add_special_tokens({"pad_token": "[PAD]"})
    theirs.add_tokens(["<tool>"])
    theirs.save_pretrained(tmp_path)
    ours = find_tokenizer(tmp_path)
    text = f"{TRAINING} <tool>[PAD]<tool> end"
    assert ours.encode(text, allow_special=True) == theirs(text)["input_ids"]
    assert "[PAD]" in ours.special and ours.added == ("<tool>",)


def test_the_files_beside_two_files_add_tokens(tmp_path):
    write_two_files(tmp_path)
    n = OURS.vocab_size
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<tool>": n + 1, "[PAD]": n}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": {"content": "[PAD]"}}))
    found = find_tokenizer(tmp_path)
    assert found.special == ("<|endoftext|>", "[PAD]") and found.added == ("<tool>",)
    assert found.encode("a<tool>[PAD]", allow_special=True)[1:] == [n + 1, n]
    assert found.encode("<tool>") == [n + 1]


@pytest.mark.parametrize("setting", ["add_prefix_space", "add_bos_token", "add_eos_token"])
@pytest.mark.parametrize("layout", ["one file", "two files"])
def test_what_changes_every_text_is_refused(tmp_path, setting, layout):
    if layout == "two files":
        write_two_files(tmp_path)
    else:
        (tmp_path / "tokenizer.json").write_text(json.dumps(to_hf_tokenizer(OURS)))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({setting: True}))
    with pytest.raises(UserError, match=f"says {setting}, which changes every text"):
        find_tokenizer(tmp_path)


def test_one_file_of_two_is_named(tmp_path):
    write_two_files(tmp_path)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"has vocab\.json but no merges\.txt, and takes both"):
        find_tokenizer(tmp_path)


@pytest.mark.parametrize("line", ["one", "a b c"])
def test_a_line_that_is_no_merge_is_named(tmp_path, line):
    write_two_files(tmp_path)
    with (tmp_path / "merges.txt").open("a") as file:
        file.write(line)
    with pytest.raises(UserError, match=f"has the line '{line}', where two tokens should stand"):
        find_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_is_told(tmp_path):
    assert find_tokenizer(tmp_path) is None
    with pytest.raises(UserError, match="holds no tokenizer"):
        read_tokenizer(tmp_path)


def test_a_name_is_read_by_what_it_holds(tmp_path, folder):
    OURS.save(tmp_path / "ours.json")
    (tmp_path / "theirs.json").write_text(json.dumps(to_hf_tokenizer(OURS)))
    for path in (tmp_path / "ours.json", tmp_path / "theirs.json", folder):
        assert read_tokenizer(path).to_dict() == OURS.to_dict()


# --- nanoGPT's characters


def meta(characters: str) -> dict:
    forward = {character: id for id, character in enumerate(characters)}
    return {"vocab_size": len(characters), "itos": {id: c for c, id in forward.items()}, "stoi": forward}


def test_nanogpts_characters_are_read(tmp_path):
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps(meta("\n abc")))
    found = read_tokenizer(tmp_path / "meta.pkl")
    assert isinstance(found, CharTokenizer) and found.characters == "\n abc"


@given(characters=st.text(min_size=1, max_size=400).map(lambda text: "".join(dict.fromkeys(text))))
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_characters_are_read_in_every_protocol(tmp_path_factory, characters, protocol):
    path = tmp_path_factory.mktemp("meta") / "meta.pkl"
    path.write_bytes(pickle.dumps(meta(characters), protocol))
    assert read_tokenizer(path).characters == characters


@given(st.binary(max_size=60))
def test_any_bytes_are_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("meta") / "meta.pkl"
    path.write_bytes(b"\x80\x04" + content)
    with pytest.raises(UserError, match=r"meta\.pkl holds no characters by id"):
        read_tokenizer(path)


class Trap:
    """An object whose reading would make a file."""

    def __reduce__(self):
        return open, ("trapped", "w")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps(meta("abc"))[:-20],
        pickle.dumps([1, 2]),
        pickle.dumps({"itos": {0: "a", 2: "b"}}),
        pickle.dumps({"itos": {0: "ab"}}),
        pickle.dumps({"itos": {0: 7}}),
        pickle.dumps(Trap()),
        pickle.dumps(meta("abc") | {"more": Trap()}),
    ],
    ids=range(9),
)
def test_nothing_else_is_read_from_a_pickle(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meta.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"meta\.pkl holds no characters by id"):
        read_tokenizer(tmp_path / "meta.pkl")
    assert not (tmp_path / "trapped").exists()
