"""Every part of a tokenizer.json that changes ids is followed, with the ids of their library, or refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import BPETokenizer, UserError, load_tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT
from minigpt.tokenizer.hf import from_hf_tokenizer, to_hf_tokenizer

library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

TRAINING = "the cat sat on the mat, the cat's 1234 mats; naïve 日本 日本 🙂🙂 \n\n  the  end of 12 don't\n" * 3
PIECES = [
    "the",
    " ",
    "  ",
    "\n",
    "cat",
    "<tool>",
    "<tool",
    "<|endoftext|>",
    "<s>",
    "'s",
    "12",
    "3",
    "日",
    "é",
    "<",
    ">",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=3)).map(
    "".join
)
SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}
PLAIN_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def learnt(special=(END_OF_TEXT,), pre_tokenizer=None, n_tokens=320) -> dict:
    """A tokenizer.json that their own trainer wrote, special tokens first, as it does."""
    theirs = library.Tokenizer(library.models.BPE())
    theirs.pre_tokenizer = pre_tokenizer or library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=n_tokens,
        special_tokens=list(special),
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    theirs.train_from_iterator([TRAINING], trainer)
    return json.loads(theirs.to_str())


def with_added(values: dict, *tokens: str | dict, special: bool = False) -> dict:
    theirs = read(values)
    for token in tokens:
        flags = {"content": token} if isinstance(token, str) else dict(token)
        each = library.AddedToken(flags.pop("content"), special=special, **({"normalized": False} | flags))
        (theirs.add_special_tokens if special else theirs.add_tokens)([each])
    return json.loads(theirs.to_str())


def read(values: dict):
    return library.Tokenizer.from_str(json.dumps(values))


def changed(values: dict, **parts) -> dict:
    return values | parts


def model_changed(values: dict, **parts) -> dict:
    return values | {"model": {**values["model"], **parts}}


PLAIN = learnt()
FOLLOWED = {
    "special tokens first": learnt(special=("<s>", "</s>", END_OF_TEXT)),
    "special in the middle of the list": learnt(special=("<s>",)) | {},
    "an ordinary added token": with_added(PLAIN, "<tool>"),
    "one that begins another": with_added(PLAIN, "<tool", "<tool>"),
    "added tokens with white space": with_added(PLAIN, "  ", "\n\n", " the"),
    "added and special": with_added(with_added(PLAIN, "<tool>"), "<|user|>", "<tool>x", special=True),
    "normalized without a normalizer": with_added(PLAIN, {"content": "<tool>", "normalized": True}),
    "every digit apart": learnt(
        pre_tokenizer=library.pre_tokenizers.Sequence(
            [
                library.pre_tokenizers.Digits(individual_digits=True),
                library.pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    ),
    "GPT-4's pattern": learnt(
        pre_tokenizer=library.pre_tokenizers.Sequence(
            [
                library.pre_tokenizers.Split(library.Regex(GPT4_PATTERN), "isolated"),
                library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    ),
    "no words": learnt(pre_tokenizer=library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
    "no type": {**PLAIN, "model": {name: value for name, value in PLAIN["model"].items() if name != "type"}},
    "merges as lines": model_changed(PLAIN, merges=[" ".join(pair) for pair in PLAIN["model"]["merges"]]),
    "an unknown token that never comes": model_changed(PLAIN, unk_token=END_OF_TEXT, fuse_unk=True),
    "bytes to fall back on that never come": model_changed(PLAIN, byte_fallback=True),
    "merges ignored for whole words": model_changed(PLAIN, ignore_merges=True),
    "empty affixes": model_changed(PLAIN, continuing_subword_prefix="", end_of_word_suffix=""),
    "no dropout": model_changed(PLAIN, dropout=0.0),
    "a post-processor of places": changed(PLAIN, post_processor={**PLAIN_BYTES, "add_prefix_space": True}),
    "an empty normalizer": changed(PLAIN, normalizer={"type": "Sequence", "normalizers": []}),
}


OURS = {name: from_hf_tokenizer(values) for name, values in FOLLOWED.items()}
THEIRS = {name: read(values) for name, values in FOLLOWED.items()}


@pytest.mark.parametrize("name", FOLLOWED)
@settings(max_examples=60)
@given(text=TEXTS)
def test_the_ids_are_those_of_their_library(name, text):
    ours, theirs = OURS[name], THEIRS[name]
    expected = theirs.encode(text).ids
    assert ours.encode(text, allow_special=True) == expected
    assert theirs.decode(expected, skip_special_tokens=False) == ours.decode(expected)
    if not any(special in text for special in ours.special):
        assert ours.encode(text) == expected


@pytest.mark.parametrize("name", FOLLOWED)
def test_it_is_saved_and_goes_back_to_them(name, tmp_path):
    ours = OURS[name]
    ours.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert loaded.to_dict() == ours.to_dict()
    text = TRAINING + "<tool><tool><s>" + END_OF_TEXT + "<|user|>"
    back = read(to_hf_tokenizer(loaded))
    assert back.encode(text).ids == loaded.encode(text, allow_special=True) == THEIRS[name].encode(text).ids
    assert back.get_vocab_size() == ours.vocab_size == THEIRS[name].get_vocab_size()
    assert from_hf_tokenizer(json.loads(back.to_str())).to_dict() == ours.to_dict()


def template(*single) -> dict:
    tokens = {END_OF_TEXT: {"id": END_OF_TEXT, "ids": [0], "tokens": [END_OF_TEXT]}}
    return {"type": "TemplateProcessing", "single": list(single), "pair": [], "special_tokens": tokens}


SEQUENCE = {"Sequence": {"id": "A", "type_id": 0}}
BEGINNING = {"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}}


def test_a_template_that_adds_nothing_is_followed():
    from_hf_tokenizer(changed(PLAIN, post_processor=template(SEQUENCE)))


def added(**flags) -> dict:
    return with_added(PLAIN, {"content": "<tool>"} | flags)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (changed(PLAIN, normalizer={"type": "NFC"}), "its normalizer, NFC, changes the text first"),
        (changed(PLAIN, truncation={"max_length": 5}), "its truncation changes the ids; set it to null there"),
        (changed(PLAIN, padding={"strategy": "BatchLongest"}), "its padding changes the ids"),
        (changed(PLAIN, post_processor=template(BEGINNING, SEQUENCE)), "its post-processor, TemplateProcessing, adds"),
        (
            changed(PLAIN, post_processor={"type": "Sequence", "processors": [template(BEGINNING, SEQUENCE)]}),
            "its post-processor, TemplateProcessing, adds",
        ),
        (changed(PLAIN, post_processor={"type": "RobertaProcessing"}), "its post-processor, RobertaProcessing, adds"),
        (changed(PLAIN, pre_tokenizer=None), "its pre-tokenizer is none, not ByteLevel"),
        (changed(PLAIN, pre_tokenizer={"type": "Metaspace"}), "its pre-tokenizer is Metaspace, not ByteLevel"),
        (changed(PLAIN, pre_tokenizer={**PLAIN_BYTES, "add_prefix_space": True}), "puts a space before every text"),
        (
            changed(
                PLAIN,
                pre_tokenizer={
                    "type": "Sequence",
                    "pretokenizers": [{**SPLIT, "pattern": {"Regex": r"\w+$|[\s\S]"}}, PLAIN_BYTES],
                },
            ),
            "which transformers and minigpt read differently",
        ),
        (
            changed(
                PLAIN,
                pre_tokenizer={
                    "type": "Sequence",
                    "pretokenizers": [{**SPLIT, "behavior": "Removed", "pattern": {"Regex": "a"}}, PLAIN_BYTES],
                },
            ),
            "its pre-tokenizer is a sequence of Split, ByteLevel",
        ),
        (model_changed(PLAIN, dropout=0.1), "its dropout, 0.1, gives other ids each time"),
        (model_changed(PLAIN, continuing_subword_prefix="##"), "its continuing_subword_prefix is '##'"),
        (model_changed(PLAIN, end_of_word_suffix="</w>"), "its end_of_word_suffix is '</w>'"),
        (model_changed(PLAIN, type="Unigram"), "its model is Unigram"),
        (model_changed(PLAIN, merges=PLAIN["model"]["merges"][::-1]), "its merges do not lead to its vocabulary"),
        (added(lstrip=True), "its added token '<tool>' has lstrip"),
        (added(rstrip=True), "its added token '<tool>' has rstrip"),
        (added(single_word=True), "its added token '<tool>' has single_word"),
        (
            with_added(PLAIN, "<tool>", {"content": "tool>x", "normalized": True}),
            "its added tokens '<tool>' and 'tool>x' overlap",
        ),
        (
            changed(PLAIN, added_tokens=[*PLAIN["added_tokens"], {"id": 400, "content": "<x>"}]),
            "its added token '<x>' has the id 400, where their library gives it",
        ),
        (with_added(PLAIN, "the"), "its merges do not lead to its vocabulary"),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_what_is_not_followed_is_refused_by_name(values, reason):
    with pytest.raises(UserError) as error:
        from_hf_tokenizer(values)
    said = str(error.value)
    assert said.startswith("It cuts text as no tokenizer of minigpt does; put one of these there") and reason in said
    assert "\n" not in said and said.endswith(").")


# --- patterns of words, in the dialect of their library


@pytest.mark.parametrize(
    "pattern",
    [
        r"\w+|(?s:.)",
        r"\w+|[\s\S]",
        r"(?s:.+)",
        r"\p{N}{1,3}+|\p{L}+|(?s:.)",
        r"(?:ab){2}|\s+$|^\s+|\S+|\s",
        r"[^\s]+|\s+",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s",
    ],
)
@settings(max_examples=60)
@given(text=TEXTS)
def test_a_pattern_cuts_there_as_here(pattern, text):
    tokens = [bytes([value]) for value in range(256)]
    ours = BPETokenizer([*tokens, b"ab", b"12", b"123", b"  ", b"\n\n", b"the"[:2], b"the"], pattern=pattern)
    values = to_hf_tokenizer(ours)
    assert read(values).encode(text).ids == ours.encode(text)
    assert from_hf_tokenizer(values).encode(text) == ours.encode(text)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?:ab){1,2}+|[\s\S]", "which transformers and minigpt read differently"),
        (r"(?P<word>\w+)|[\s\S]", "is none that the package tokenizers can read|read differently"),
    ],
)
def test_a_pattern_that_cannot_go_there_is_named(pattern, message):
    with pytest.raises(UserError, match=message):
        to_hf_tokenizer(BPETokenizer([bytes([value]) for value in range(256)], pattern=pattern))


def test_the_pattern_that_an_error_recommends_can_be_exported():
    with pytest.raises(UserError, match="to miss none") as error:
        BPETokenizer.train(TRAINING, 260, pattern=r"\w+")
    ending = str(error.value).split("end it in '")[1].split("'")[0]
    ours = BPETokenizer.train(TRAINING, 280, pattern=r"\w+" + ending)
    assert read(to_hf_tokenizer(ours)).encode(TRAINING).ids == ours.encode(TRAINING)
