"""Their library cuts texts as ours do, after what we write; and what it writes is read back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError
from minigpt.tokenizer.hf import from_hf_tokenizer, hf_tokenizer_config, to_hf_tokenizer

library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

TEXT = "To be, or not to be: that's the question.\r\n\tOf 12 or 1,234 — «être»; Ωμέγα, 日本\u2028🎭\x00 e\u0301  end \n"
CHARACTERS = CharTokenizer.from_text(TEXT)
WITH_UNKNOWN = CharTokenizer.from_text(TEXT, unknown="�")
SUBWORDS = BPETokenizer.train(TEXT * 2 + "the thesis of the other theatre, the tether", 300)
OWN_WORDS = BPETokenizer.train(TEXT * 2, 290, special=("<a>", "<b>"), pattern=r"\w+|[^\w\s]+|\s+")
EVERY = [CHARACTERS, WITH_UNKNOWN, SUBWORDS, OWN_WORDS]
every_kind = pytest.mark.parametrize("ours", EVERY, ids=["characters", "with unknown", "subwords", "own words"])


def read_there(ours) -> library.Tokenizer:
    return library.Tokenizer.from_str(json.dumps(to_hf_tokenizer(ours)))


THEIRS = {id(ours): read_there(ours) for ours in EVERY}


@every_kind
def test_the_ids_are_the_same_there(ours):
    theirs = THEIRS[id(ours)]
    assert theirs.encode(TEXT).ids == ours.encode(TEXT)
    assert theirs.decode(ours.encode(TEXT)) == TEXT
    assert theirs.get_vocab_size() == ours.vocab_size


@pytest.mark.parametrize("ours", [WITH_UNKNOWN, SUBWORDS, OWN_WORDS], ids=["with unknown", "subwords", "own words"])
@settings(max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(TEXT), max_size=40))
def test_they_are_so_for_any_text(ours, text):
    assert THEIRS[id(ours)].encode(text).ids == ours.encode(text)


def test_an_unknown_character_is_an_error_there_too():
    with pytest.raises(Exception, match="unk|UNK"):
        THEIRS[id(CHARACTERS)].encode("%")


@every_kind
def test_there_and_back(ours):
    assert from_hf_tokenizer(to_hf_tokenizer(ours)).to_dict() == ours.to_dict()
    assert from_hf_tokenizer(json.loads(THEIRS[id(ours)].to_str())).to_dict() == ours.to_dict()


@pytest.mark.slow
def test_gpt2s_own_vocabulary_goes_there_and_back():
    try:
        ours = BPETokenizer.gpt2()
    except UserError:
        pytest.skip("GPT-2's vocabulary is not at hand")
    theirs = read_there(ours)
    assert theirs.encode(TEXT).ids == ours.encode(TEXT)
    assert from_hf_tokenizer(json.loads(theirs.to_str())).to_dict() == ours.to_dict()


@pytest.mark.slow
def test_the_file_that_gpt2_comes_with_is_read():
    """It names no type of model, has its special token in the vocabulary, and writes merges as lines."""
    try:
        ours = BPETokenizer.gpt2()
    except UserError:
        pytest.skip("GPT-2's vocabulary is not at hand")
    values = to_hf_tokenizer(ours)
    model = values["model"]
    bytes_only = {"add_prefix_space": True, "trim_offsets": False, "type": "ByteLevel"}
    theirs = values | {
        "added_tokens": [each | {"normalized": True} for each in values["added_tokens"]],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "post_processor": bytes_only,
        "decoder": bytes_only | {"trim_offsets": True},
        "model": {
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": model["vocab"] | ours.special_tokens,
            "merges": [" ".join(pair) for pair in model["merges"]],
        },
    }
    assert from_hf_tokenizer(theirs).to_dict() == ours.to_dict()
    text = TEXT + "<|endoftext|>" + TEXT
    assert library.Tokenizer.from_str(json.dumps(theirs)).encode(text).ids == ours.encode(text, allow_special=True)


def changed(ours, *path, value) -> dict:
    values = json.loads(json.dumps(to_hf_tokenizer(ours)))
    here = values
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = value
    return values


@pytest.mark.parametrize(
    "values",
    [
        changed(SUBWORDS, "normalizer", value={"type": "Lowercase"}),
        changed(SUBWORDS, "pre_tokenizer", "add_prefix_space", value=True),
        changed(SUBWORDS, "pre_tokenizer", value={"type": "Whitespace"}),
        changed(SUBWORDS, "pre_tokenizer", value=None),
        changed(SUBWORDS, "model", "merges", value=[]),
        changed(SUBWORDS, "model", "merges", 3, value=["a", "b"]),
        changed(SUBWORDS, "model", "type", value="Unigram"),
        changed(SUBWORDS, "model", "end_of_word_suffix", value="</w>"),
        changed(SUBWORDS, "model", "vocab", "a", value=5000),
        changed(SUBWORDS, "model", "vocab", "日", value=300),
        changed(SUBWORDS, "added_tokens", 0, "id", value=0),
        changed(CHARACTERS, "pre_tokenizer", value={"type": "WhitespaceSplit"}),
        changed(CHARACTERS, "model", "vocab", "whole", value=5000),
        changed(CHARACTERS, "model", value=None),
        {},
        {"model": {"type": "BPE", "vocab": 7}},
    ],
    ids=range(16),
)
def test_what_cuts_a_text_otherwise_is_refused(values):
    with pytest.raises(UserError, match="cuts text as no tokenizer of minigpt does; put one of these there"):
        from_hf_tokenizer(values)


def test_a_vocabulary_that_no_merges_lead_to_is_refused():
    tokens = [bytes([value]) for value in range(256)] + [b"abc"]
    with pytest.raises(UserError, match="b'abc' is not the merger of two earlier ones"):
        to_hf_tokenizer(BPETokenizer(tokens))


def test_a_tokenizer_of_another_kind_is_refused():
    with pytest.raises(UserError, match="knows nothing of object"):
        to_hf_tokenizer(object())


def test_the_settings_name_what_ends_a_text():
    assert hf_tokenizer_config(SUBWORDS, 64)["eos_token"] == "<|endoftext|>"
    assert "eos_token" not in hf_tokenizer_config(CHARACTERS, 64)
    assert hf_tokenizer_config(CHARACTERS, 64)["model_max_length"] == 64
