"""Whatever is put in, a right answer comes out, or one sentence.

Each test is a property that hypothesis tries to break: with fifty cases here, with ten thousand in `make faults`.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, GPTConfig, Sampler, TrainConfig, UserError, read_run
from minigpt.config import Preset, read_preset
from minigpt.data.corpora import read_text
from minigpt.data.documents import TextSource, split_documents
from minigpt.data.prepare import prepare_shards
from minigpt.data.shards import check_shards
from minigpt.tokenizer.base import load_tokenizer
from minigpt.tokenizer.hf import from_hf_tokenizer, to_hf_tokenizer
from strategies import ANY_TEXT, JSON, OBJECTS, SCALARS, nearly

TEXT = "the cat sat on the mat, the cat's 1234 mats; naïve 日本 日本 🙂🙂 \n\n  the  end\n" * 3
MODEL = GPTConfig(vocab_size=65, block_size=8, n_layer=1, n_head=2, n_embd=8, n_kv_head=1)
TRAINING = TrainConfig(target_loss=1.0, patience=2)
RECORD = {"step": 1, "loss": 4.0, "learning_rate": 1e-3, "gradient_norm": 1.0, "seconds": 1.0, "best": True}
RECORD |= {"tokens_per_second": 1.0, "peak_memory_mb": 1.0, "validation_loss": 4.0, "sample": "a"}
SCRATCH = TemporaryDirectory(ignore_cleanup_errors=True)

unhurried = settings(suppress_health_check=list(HealthCheck))


@cache
def bpe() -> BPETokenizer:
    return BPETokenizer.train(TEXT, 290)


@cache
def shards() -> Path:
    """A folder of shards; its manifest is overwritten by the test, and whole in `shards.whole`."""
    folder = Path(SCRATCH.name) / "shards"
    characters = CharTokenizer.from_text(TEXT)
    prepare_shards(split_documents([TextSource("text", TEXT)]), characters, folder, shard_tokens=50)
    (folder / "shards.whole").write_bytes((folder / "shards.json").read_bytes())
    (folder / "SHA256SUMS").unlink(missing_ok=True)  # so that what the file says is looked at
    return folder


def written(values: object, name: str = "any.json") -> Path:
    path = Path(SCRATCH.name) / name
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


@contextmanager
def sentence_allowed(*names: object) -> Iterator[None]:
    """Let pass a `UserError` of one line that ends like a sentence and holds these names."""
    try:
        yield
    except UserError as error:
        told = str(error)
        assert told.strip() and "\n" not in told and told.endswith((".", "?", ")"))
        assert all(str(name) in told for name in names)


@given(ANY_TEXT.filter(bool), ANY_TEXT)
def test_characters_come_back_whatever_they_are(text, other):
    tokenizer = CharTokenizer.from_text(text)
    again = CharTokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert again.decode(again.encode(text)) == text
    assert b"".join(map(again.token_bytes, again.encode(text))) == text.encode("utf-8", "surrogatepass")
    with sentence_allowed():
        assert again.decode(again.encode(other)) == other


@given(ANY_TEXT)
def test_subwords_come_back_whatever_they_are(text):
    with sentence_allowed("surrogate"):
        assert bpe().decode(bpe().encode(text)) == text
        assert bpe().decode(bpe().encode(text, allow_special=True)) == text


@given(st.binary())
def test_any_bytes_are_a_text_file_or_a_sentence(content):
    path = Path(SCRATCH.name) / "any.txt"
    path.write_bytes(content)
    with sentence_allowed(path):
        text = read_text(path)
        assert bpe().decode(bpe().encode(text)) == text


@given(ANY_TEXT, st.integers(-5, 400), st.lists(ANY_TEXT, max_size=3))
def test_a_vocabulary_is_learnt_or_a_sentence_says_why_not(text, vocab_size, special):
    with sentence_allowed():
        tokenizer = BPETokenizer.train(text, vocab_size, special=special)
        assert tokenizer.vocab_size == vocab_size
        assert tokenizer.decode(tokenizer.encode(text)) == text


@unhurried
@given(st.one_of(nearly(CharTokenizer.from_text(TEXT).to_dict()), nearly(bpe().to_dict()), OBJECTS), ANY_TEXT)
def test_a_tokenizer_file_is_read_or_a_sentence_says_why_not(values, text):
    path = written(values)
    with sentence_allowed():
        tokenizer = load_tokenizer(path)
        assert tokenizer.vocab_size > 0
        with sentence_allowed():
            assert tokenizer.decode(tokenizer.encode(text)) == text


@unhurried
@given(st.one_of(nearly(to_hf_tokenizer(CharTokenizer.from_text(TEXT))), nearly(to_hf_tokenizer(bpe()))))
def test_a_tokenizer_file_of_others_is_understood_or_a_sentence_says_why_not(values):
    with sentence_allowed():
        tokenizer = from_hf_tokenizer(values)
        assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


@unhurried
@given(nearly(MODEL.to_dict()) | OBJECTS | JSON)
def test_a_model_is_described_or_a_sentence_says_why_not(values):
    with sentence_allowed("The configuration"):
        config = GPTConfig.from_dict(values)
        assert GPTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        assert min(config.head_dim, config.num_kv_heads, config.hidden_dim) >= 1


@unhurried
@given(nearly(TRAINING.to_dict()) | OBJECTS | JSON)
def test_training_is_described_or_a_sentence_says_why_not(values):
    with sentence_allowed("The configuration"):
        config = TrainConfig.from_dict(values)
        assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        assert all(map(math.isfinite, (config.learning_rate, config.weight_decay, config.min_learning_rate)))


@unhurried
@given(nearly({"description": "", "model": MODEL.to_dict(), "training": TRAINING.to_dict()}) | OBJECTS)
def test_a_preset_file_is_read_or_a_sentence_names_the_file(values):
    path = written(values)
    with sentence_allowed(path):
        assert isinstance(read_preset(path), Preset)


@unhurried
@given(st.lists(nearly(RECORD) | OBJECTS | JSON, max_size=3))
def test_a_record_of_a_run_is_read_or_a_sentence_names_the_file(lines):
    path = Path(SCRATCH.name) / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [{"model": {}}, *lines]))
    with sentence_allowed(path):
        run = read_run(path)
        assert len(run.records) == len(lines)
        for record in run.records:
            record.to_line()


SETTINGS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
LOGITS = st.lists(st.floats(width=32), min_size=1, max_size=12).map(torch.tensor)


@unhurried
@given(
    st.dictionaries(st.sampled_from(SETTINGS), SCALARS | st.floats(0, 1) | st.integers(1, 9) | st.lists(st.none())),
    LOGITS,
    st.lists(st.integers(0, 11), max_size=5),
)
def test_a_token_is_drawn_or_a_sentence_says_why_not(changes, logits, seen):
    with sentence_allowed():
        sampler = Sampler(**changes)
        chosen = sampler.sample(logits, torch.tensor([id for id in seen if id < len(logits)], dtype=torch.long))
        assert 0 <= chosen.item() < len(logits)
        assert logits[chosen.item()] > -math.inf


@unhurried
@given(st.data())
def test_a_manifest_of_shards_is_read_or_a_sentence_says_why_not(data):
    folder = shards()
    whole = json.loads((folder / "shards.whole").read_text())
    (folder / "shards.json").write_text(json.dumps(data.draw(nearly(whole) | OBJECTS)))
    with sentence_allowed(folder):
        prepared = check_shards(folder)
        assert prepared.split.train.max() < prepared.tokenizer.vocab_size
        assert prepared.tokenizer.decode(prepared.split.train[:].tolist()) in TEXT


@pytest.mark.slow
@pytest.mark.parametrize("character", ["a", "\n", " ", "\0", "é", "🙂"])
def test_a_line_of_ten_megabytes_is_a_text_like_any_other(character):
    text = character * (10_000_000 // len(character.encode()))
    tokenizer = CharTokenizer.from_text(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    with sentence_allowed("too long a run of white space"):
        assert bpe().decode(bpe().encode(text)) == text


def test_every_byte_is_a_token():
    assert {bpe().token_bytes(id) for id in range(256)} == {bytes([value]) for value in range(256)}
    text = bytes(range(256)).decode("latin-1")
    assert bpe().decode(bpe().encode(text)) == text
