"""What people reported of other tokenizers, tried on ours; `tests/cases/README.md` lists where each was reported."""

import json
import time

import pytest
import torch

from minigpt import GPT, BPETokenizer, CharTokenizer, GPTConfig, UserError, generate
from minigpt.tokenizer.bpe import END_OF_TEXT
from minigpt.tokenizer.foreign import find_tokenizer
from minigpt.tokenizer.hf import from_hf_tokenizer, hf_tokenizer_config, to_hf_tokenizer

TRAINING = "Hello World. the cat sat on the mat, AAAA aaaa ^^^^ \n\n  12 cats don't\n" * 3
OURS = BPETokenizer.train(TRAINING, 290)
BYTES = [bytes([value]) for value in range(256)]


@pytest.mark.parametrize("character", ["^", "a", "A", "-", " ", "\n", "\t", "0", "é", "🙂"])
def test_a_very_long_run_of_one_character_is_encoded_or_named(character):
    """tiktoken 15, 195, 245, 327, 400; harmony 141."""
    text = character * 100_000
    began = time.perf_counter()
    try:
        assert OURS.decode(OURS.encode(text)) == text
    except UserError as error:
        assert "too long a run of white space" in str(error)
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize("text", ["  Hello World.", "hello\nworld", " !", " .", "\n\n a \r\n", "a\u2028b", "e\u0301é"])
def test_spaces_and_line_ends_come_back(text):
    """LLMs-from-scratch 495, 944; transformers 36325."""
    assert OURS.decode(OURS.encode(text)) == text


def test_a_space_before_a_sign_comes_back_there_too(tmp_path):
    """transformers 36325: their decoding tidies spaces up unless it is told not to."""
    transformers = pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_text(json.dumps(to_hf_tokenizer(OURS)))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(hf_tokenizer_config(OURS, 64)))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in (" !", " .", " ,", "do n't"):
        assert theirs.decode(theirs.encode(text)) == text


def test_a_special_token_is_one_id_where_it_is_allowed():
    """minGPT 140; cpp-tiktoken 5; LLMs-from-scratch 616."""
    id = OURS.special_tokens[END_OF_TEXT]
    assert OURS.encode(END_OF_TEXT, allow_special=True) == [id]
    assert OURS.encode(f"a{END_OF_TEXT}b", allow_special=True)[1] == id
    assert id not in OURS.encode(END_OF_TEXT) and OURS.decode(OURS.encode(END_OF_TEXT)) == END_OF_TEXT


def test_an_added_token_that_is_not_special_is_encoded():
    """mlxcel 1758; tokenizers 52, 113."""
    ours = BPETokenizer(BYTES, (END_OF_TEXT,), added=("<think>", "</think>", "[SEP]"))
    assert ours.encode("<think>[SEP]</think>") == [257, 259, 258]
    assert from_hf_tokenizer(to_hf_tokenizer(ours)).encode("a<think>") == [97, 257]


def test_no_two_tokens_have_the_same_id():
    """tokenizers 1169; transformers 1885."""
    for ids in (
        {"<a>": 3, "<b>": 3},
        {"<a>": 3},
        {"<a>": 3, "<b>": 258},
        {"<a>": 3, "<b>": -1},
        {"<a>": 3, "<b>": True},
    ):
        with pytest.raises(UserError, match="same id|must name every|must be a whole number"):
            BPETokenizer(BYTES, ("<a>", "<b>"), ids=ids)
    ours = BPETokenizer(BYTES, ("<a>", "<b>"), ids={"<a>": 3, "<b>": 0})
    assert sorted(ours.encode(bytes(range(128)).decode() + "<a><b>", allow_special=True)) == list(range(130))


def test_a_token_at_the_beginning_of_the_vocabulary_is_special_there():
    """distributed-llama 185."""
    ours = BPETokenizer(OURS.tokens, ("<s>", "</s>"), ids={"<s>": 0, "</s>": 1})
    assert ours.encode("<s>a</s>", allow_special=True) == [0, OURS.encode("a")[0] + 2, 1]
    assert [id - 2 for id in ours.encode(TRAINING)] == OURS.encode(TRAINING)


def test_a_special_token_that_must_stand_alone_is_refused_by_name():
    """tokenizers 320."""
    values = to_hf_tokenizer(OURS)
    values["added_tokens"][0]["single_word"] = True
    with pytest.raises(UserError, match=r"its added token '<\|endoftext\|>' has single_word"):
        from_hf_tokenizer(values)


def test_added_tokens_of_a_file_beside_the_vocabulary_are_read(tmp_path):
    """llama.cpp 3633."""
    model = to_hf_tokenizer(OURS)["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"] | OURS.special_tokens))
    (tmp_path / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model["merges"]))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<tool>": OURS.vocab_size, END_OF_TEXT: 289}))
    assert find_tokenizer(tmp_path).encode("<tool>") == [OURS.vocab_size]


@pytest.mark.parametrize("wrong", [290, 100_256, -1, -9223372036854775808])
def test_an_id_without_a_token_is_named(wrong):
    """tiktoken 47; nanoGPT 169, 273."""
    with pytest.raises(UserError, match=f"Token id {wrong} is outside the vocabulary"):
        OURS.decode([65, wrong])


def test_ids_that_fill_a_vocabulary_up_are_never_drawn():
    """nanoGPT 169; ethos-ares 6."""
    tokenizer = CharTokenizer.from_text("".join(map(chr, range(97, 97 + 26))))
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=64, block_size=8, n_layer=1, n_head=1, n_embd=8)).eval()
    assert len(generate(model, tokenizer, "a", max_new_tokens=100, seed=1)) == 101


def test_a_prompt_with_an_unknown_character_is_a_sentence():
    """nanoGPT 169: a question mark in the prompt was a KeyError."""
    with pytest.raises(UserError, match=r"The character '\?' \(U\+003F\) at place 3 is not among"):
        CharTokenizer("abc").encode("abc?")
