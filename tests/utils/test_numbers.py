"""Numbers and ids of NumPy's and PyTorch's are taken wherever Python's own are."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import (
    BPETokenizer,
    CharTokenizer,
    GPTConfig,
    Sampler,
    Split,
    TrainConfig,
    Trainer,
    UserError,
    cross_entropy,
    evaluate,
    generate,
    generate_batch,
    generate_stream,
    get_batch,
    split_text,
)
from minigpt.data.batches import check_ids
from minigpt.evaluation.evaluate import TextLengthCounter
from minigpt.evaluation.memorization import evenly_spaced_windows
from minigpt.generation.generate import generate_ids, make_generator
from minigpt.utils.ids import as_ids
from minigpt.utils.numbers import to_int, to_python
from minigpt.utils.random_state import rng_state_from_seed

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.array, torch.tensor]
FLOATS = [np.float16, np.float32, np.float64, np.array, torch.tensor]
ID_TYPES = ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", ">u2", "<i4"]


@given(st.integers(0, 126), st.sampled_from(INTEGERS))
def test_a_whole_number_of_any_library_is_an_int(number, kind):
    for convert in (to_python, lambda value: to_int("n", value, 0), lambda value: Sampler(top_k=value + 1).top_k - 1):
        assert convert(kind(number)) == number and type(convert(kind(number))) is int


@given(st.floats(0.125, 8, width=16), st.sampled_from(FLOATS))
def test_a_number_of_any_library_is_a_float(number, kind):
    assert to_python(kind(number)) == number and type(to_python(kind(number))) is float
    assert type(Sampler(temperature=kind(number)).temperature) is float


@pytest.mark.parametrize("value", ["a", None, [1], np.array([1]), torch.ones(1), math.nan])
def test_what_is_no_single_number_stays_as_it_is(value):
    assert to_python(value) is value


@pytest.mark.parametrize("value", [1.0, np.float32(1), True, np.bool_(True), "1", None, np.array([1]), torch.ones(2)])
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(UserError, match="size = .* must be a whole number"):
        to_int("size", value, 1)


def test_a_whole_number_has_a_least():
    for least, sentence in ((1, "size = -3 must be at least 1"), (0, "size = -3 must not be negative")):
        with pytest.raises(UserError, match=sentence):
            to_int("size", np.int64(-3), least)


@pytest.mark.parametrize("integer", INTEGERS)
def test_configurations_keep_pythons_own_numbers(integer):
    sizes = {"vocab_size": 65, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16, "n_kv_head": 1, "mlp_dim": 24}
    config = GPTConfig(**{name: integer(size) for name, size in sizes.items()}, dropout=np.float64(0.5))
    assert config == GPTConfig(**sizes, dropout=0.5)
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()
    training = TrainConfig(seed=integer(3), max_steps=integer(9), learning_rate=np.float64(0.5), patience=integer(2))
    assert training == TrainConfig(seed=3, max_steps=9, learning_rate=0.5, patience=2)
    assert json.loads(json.dumps(training.to_dict())) == training.to_dict()
    assert training.replace(seed=integer(4)) == TrainConfig(seed=4, max_steps=9, learning_rate=0.5, patience=2)


@pytest.mark.parametrize("wrong", [np.bool_(True), np.float64(2.5), np.array([3]), "3"])
def test_a_configuration_refuses_another_type_of_numpys_too(wrong):
    with pytest.raises(UserError, match="must be of type"):
        TrainConfig(max_steps=wrong)
    with pytest.raises(UserError, match="must be of type"):
        Sampler(top_k=wrong)


@given(st.lists(st.integers(0, 120), max_size=9), st.sampled_from(ID_TYPES))
def test_ids_of_any_form_are_a_tensor_of_int64(ids, dtype):
    array = np.array(ids, dtype=dtype)
    array.flags.writeable = False
    for form in (ids, tuple(ids), array, list(array), torch.tensor(ids, dtype=torch.int32), torch.tensor(ids).long()):
        found = as_ids(form)
        assert found.dtype == torch.long and found.tolist() == ids
    assert as_ids([ids, ids]).shape == (2, len(ids))


@pytest.mark.parametrize("ids", [[0.5], np.ones(2), torch.ones(2), [True], torch.tensor([True]), ["a"], [[1, 2], [3]]])
def test_what_are_no_ids_is_named(ids):
    with pytest.raises(UserError, match="Token ids are whole numbers|differ in length"):
        as_ids(ids)


@pytest.fixture(params=["list", "memmap", *ID_TYPES])
def form(request, tmp_path):
    """Puts ids into one of the forms in which they may come."""

    def put(ids: torch.Tensor) -> object:
        if request.param == "list":
            return ids.tolist()
        if request.param == "memmap":
            path = tmp_path / f"{len(ids)}.bin"
            ids.numpy().astype("uint16").tofile(path)
            return np.memmap(path, dtype="uint16", mode="r", shape=tuple(ids.shape))
        return ids.numpy().astype(request.param)

    return put


def test_the_model_reads_ids_of_any_form(model, form):
    ids = torch.arange(10).view(2, 5)
    assert torch.equal(model(form(ids)), model(ids))
    with torch.no_grad():
        cache = model.make_kv_cache(np.int64(2), np.int32(5))
        assert torch.equal(model(form(ids), cache), model(ids, model.make_kv_cache(2)))
    logits = model(ids)
    assert torch.equal(cross_entropy(logits, form(ids)), cross_entropy(logits, ids))


def test_a_text_of_ids_of_any_form_is_evaluated_and_cut_into_batches(model, tokenizer, data, form):
    ids, size = data.train, np.int64(8)
    text = form(ids)
    sizes = {"batch_size": np.int16(4), "max_windows": np.int64(5), "tokenizer": tokenizer}
    expected = evaluate(model, ids, 8, batch_size=4, max_windows=5, tokenizer=tokenizer)
    assert evaluate(model, text, size, **sizes) == expected
    assert TextLengthCounter(tokenizer).measure(text) == TextLengthCounter(tokenizer).measure(ids)
    for found, whole in zip(
        get_batch(text, np.int64(4), size, make_generator(1)), get_batch(ids, 4, 8, make_generator(1)), strict=True
    ):
        assert torch.equal(found, whole) and found.dtype == torch.long
    assert torch.equal(evenly_spaced_windows(text, 8, 3), evenly_spaced_windows(ids, 8, 3))
    check_ids(Split(text, text), tokenizer.vocab_size)
    with pytest.raises(UserError, match="holds the token id"):
        check_ids(Split(text, text), 3)


@pytest.mark.parametrize("form", ["list", "memmap", "uint8"], indirect=True)
def test_training_reads_ids_of_any_form(make_model, data, train_config, form):
    settings = train_config.replace(max_steps=np.int64(3), sample_every=0)
    runs = []
    for split in (data, Split(form(data.train), form(data.validation))):
        trainer = Trainer(make_model(), split, settings)
        losses = [metrics.loss for metrics in trainer.run()]
        runs.append((losses, trainer.validate()))
    assert runs[0] == runs[1] and len(runs[0][0]) > 0


def test_tokenizers_decode_ids_of_any_form(tokenizer, text, form):
    subwords = BPETokenizer([bytes([value]) for value in range(256)], ["<|endoftext|>"])
    for each in (tokenizer, subwords):
        ids = torch.tensor(each.encode(text[:40]))
        assert each.decode(form(ids)) == each.decode(ids) == text[:40]
        assert each.token_bytes(form(ids)[0]) == text[:1].encode()
        with pytest.raises(UserError, match="Token id 999 is outside the vocabulary"):
            each.decode(np.array([999]))


def test_generating_takes_numbers_and_ids_of_any_form(model, tokenizer, form):
    prompt = torch.tensor([[1, 2], [3, 4]])
    greedy = Sampler(temperature=np.float32(0), top_k=np.int64(3))
    found = generate_ids(model, form(prompt), greedy, np.int64(4), eos_id=np.uint8(200))
    expected = generate_ids(model, prompt, Sampler(temperature=0, top_k=3), 4)
    assert torch.equal(torch.stack(list(found)), torch.stack(list(expected)))


@pytest.mark.parametrize("integer", INTEGERS)
def test_texts_are_the_same_with_numbers_of_any_library(model, tokenizer, integer):
    plain = {"max_new_tokens": 9, "seed": 3, "eos_id": 2}
    other = {name: integer(value) for name, value in plain.items()}
    assert generate(model, tokenizer, "a", top_k=integer(5), temperature=np.float64(0.5), **other) == generate(
        model, tokenizer, "a", top_k=5, temperature=0.5, **plain
    )
    streams = [list(generate_stream(model, tokenizer, "a", **settings)) for settings in (plain, other)]
    assert streams[0] == streams[1]
    batches = [generate_batch(model, tokenizer, ["a", "me"], **settings) for settings in (plain, other)]
    assert batches[0] == batches[1]
    assert generate_batch(model, tokenizer, np.array(["a", "me"]), **other) == batches[0]


@pytest.mark.parametrize("integer", INTEGERS)
def test_seeds_of_any_library(integer):
    assert torch.equal(rng_state_from_seed(integer(3))["cpu"], rng_state_from_seed(3)["cpu"])
    assert torch.equal(make_generator(integer(3)).get_state(), make_generator(3).get_state())


@pytest.mark.parametrize("seed", [2.0, "1", True, np.float64(1), np.bool_(True), np.uint64(2**63), np.int64(-1)])
def test_what_is_no_seed_is_named(seed):
    with pytest.raises(UserError, match="seed = .* must be a whole number from 0 up to"):
        make_generator(seed)


def test_sizes_of_a_vocabulary_and_a_split(text):
    assert CharTokenizer.from_text(text, "?", np.int64(9)).vocab_size == 9
    assert BPETokenizer.train(text, np.int64(260)).vocab_size == 260
    expected = split_text(text, CharTokenizer.from_text(text), 0.25)
    assert torch.equal(split_text(text, CharTokenizer.from_text(text), np.float32(0.25)).train, expected.train)
