"""Shards: read like one vector, used for training and evaluation, and checked."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, Trainer, UserError, evaluate, get_batch, split_text
from minigpt.data.batches import check_ids
from minigpt.data.documents import TextSource, split_documents
from minigpt.data.prepare import prepare_shards
from minigpt.data.shards import check_shards, open_shards
from minigpt.utils.files import sha256_file


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, text):
    """The text of all tests in shards of seven tokens."""
    documents = split_documents([TextSource("text", text)], val_fraction=0.2)
    folder = tmp_path_factory.mktemp("shards") / "text"
    return prepare_shards(documents, CharTokenizer.from_text(text), folder, shard_tokens=7)


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy that may be damaged."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in prepared.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_shards_hold_the_text(prepared, text):
    train, validation = prepared.split
    assert prepared.tokenizer.decode([*train[:].tolist(), *validation[:].tolist()]) == text
    assert len(train) + len(validation) == len(text)
    assert train[:].dtype == torch.int64
    assert len(list(prepared.folder.glob("train-*.bin"))) == -(-len(train) // 7)
    assert all(path.stat().st_size <= 14 for path in prepared.folder.glob("*.bin"))


@given(places=st.tuples(st.integers(-400, 400), st.integers(-400, 400)))
def test_a_slice_is_the_slice_of_one_vector(prepared, places):
    train = prepared.split.train
    whole = train[:]
    assert torch.equal(train[places[0] : places[1]], whole[places[0] : places[1]])
    assert torch.equal(train[places[0] :], whole[places[0] :])


def test_only_slices_are_read(prepared):
    with pytest.raises(TypeError, match=r"read in slices, as ids\[a:b\], not as ids\[3\]"):
        prepared.split.train[3]
    with pytest.raises(UserError, match=r"read in order, without a step; take ids\[a:b\]\[::2\]"):
        prepared.split.train[0:9:2]


def test_windows_are_those_of_a_vector(prepared):
    shards, vector = prepared.split.train, prepared.split.train[:]
    batches = [get_batch(ids, 5, 20, torch.Generator().manual_seed(0)) for ids in (shards, vector)]
    assert all(torch.equal(a, b) and a.is_contiguous() for a, b in zip(*batches, strict=True))


def test_training_and_evaluation_are_the_same_as_from_memory(prepared, make_model, train_config):
    in_memory = type(prepared.split)(*(ids[:] for ids in prepared.split))
    losses = []
    for data in (prepared.split, in_memory):
        trainer = Trainer(make_model(), data, train_config, tokenizer=prepared.tokenizer, device="cpu")
        losses.append([(record.loss, record.validation_loss) for record in trainer.run()])
        losses[-1].append(evaluate(trainer.model, data.validation, 8, tokenizer=prepared.tokenizer))
    assert losses[0] == losses[1]


def test_the_largest_id_is_known_without_reading(prepared, folder):
    for path in folder.glob("*.bin"):
        path.write_bytes(bytes(path.stat().st_size))
    split = open_shards(folder).split
    vocab_size = prepared.tokenizer.vocab_size
    assert split.train.max() == int(prepared.split.train[:].max()) == vocab_size - 1
    check_ids(split, vocab_size)
    with pytest.raises(UserError, match=f"The training part holds the token id {vocab_size - 1}"):
        check_ids(split, vocab_size - 1)


def test_a_folder_describes_itself(prepared):
    n_train, n_validation = map(len, prepared.split)
    assert str(prepared).startswith(
        f"{prepared.folder}: train {n_train} tokens in 1 document, validation {n_validation} tokens in 1 document; "
    )
    counts = prepared.manifest["parts"]["train"]
    assert counts["characters"] == counts["bytes"] == n_train
    assert len(prepared.sha256) == 64


def test_a_copy_is_as_good(prepared, folder):
    copy = check_shards(folder)
    assert copy.sha256 == prepared.sha256
    assert torch.equal(copy.split.validation[:], prepared.split.validation[:])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"train-00002\.bin does not exist; copy the whole folder"),
        (lambda path: path.write_bytes(bytes(13)), r"train-00002\.bin has 13 bytes, not 14; it is damaged"),
        (lambda path: path.write_bytes(bytes(15)), r"train-00002\.bin has 15 bytes, not 14; it is damaged"),
    ],
)
def test_a_shard_of_another_size_is_seen_at_once(folder, damage, message):
    damage(folder / "train-00002.bin")
    with pytest.raises(UserError, match=message):
        open_shards(folder)


def test_an_altered_shard_is_seen_by_its_checksum(folder):
    (folder / "train-00002.bin").write_bytes(bytes(14))
    open_shards(folder)
    with pytest.raises(UserError, match=r"train-00002\.bin does not have the checksum that stands in shards\.json"):
        check_shards(folder)


def test_an_altered_manifest_is_seen_at_once(folder):
    manifest = json.loads((folder / "shards.json").read_text())
    manifest["parts"]["train"]["documents"] += 1
    (folder / "shards.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"shards\.json does not have the checksum .*copy or save the shards again"):
        open_shards(folder)


def test_an_id_that_no_token_has_is_seen_when_it_is_read(folder):
    (folder / "train-00001.bin").write_bytes(b"\xff" * 14)
    train = open_shards(folder).split.train
    train[:7]
    with pytest.raises(
        UserError, match="holds the id 65535, where the largest is .*; it is damaged, so find out which"
    ):
        train[5:9]


def test_the_checksums_are_those_of_all_files(folder):
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in folder.iterdir()} - {".lock", "SHA256SUMS"}
    assert sums == {name: sha256_file(folder / name) for name in files}


def test_another_tokenizer_is_seen(folder):
    CharTokenizer("abc").save(folder / "tokenizer.json")
    with pytest.raises(UserError, match=r"tokenizer\.json is not the tokenizer that the shards were made with"):
        open_shards(folder)


def test_what_is_no_folder_of_shards_is_named(folder, tmp_path):
    for wrong in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError, match=r"holds no finished shards \(no shards\.json\); check the path"):
            open_shards(wrong)
    manifest = json.loads((folder / "shards.json").read_text())
    for wrong in ({}, manifest | {"format": 2}):
        (folder / "shards.json").write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=r"shards\.json is no manifest of format 1"):
            open_shards(folder)


def test_four_bytes_hold_a_large_vocabulary(tmp_path):
    tokens = [bytes([value]) for value in range(256)]
    tokens += [bytes([a, b, 0]) for a in range(256) for b in range(256)][: 2**16]
    tokenizer = BPETokenizer(tokens, special=("<|endoftext|>",))
    source = TextSource("a", "ab#cd")
    prepared = prepare_shards(split_documents([source], [source], separator="#"), tokenizer, tmp_path / "large")
    assert prepared.manifest["type"] == "<u4"
    assert prepared.split.train[:].tolist() == [97, 98, len(tokens), 99, 100]
    assert prepared.split.train.max() == len(tokens) > 2**16


def test_the_end_of_a_text_is_that_of_split_text(prepared, text):
    lines = split_text(text, prepared.tokenizer, val_fraction=0.2)
    assert abs(len(lines.validation) - len(prepared.split.validation)) < 100
