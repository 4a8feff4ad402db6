"""Parquet files: their rows are documents, from any of them on."""

import builtins
import sys

import pytest

from minigpt import CharTokenizer, UserError
from minigpt.data.documents import ParquetSource, split_documents
from minigpt.data.prepare import prepare_shards

TEXTS = [" One. ", "", None, "Two.", "  ", "Three.", "Four."]


@pytest.fixture
def file(tmp_path):
    """A file with two groups of rows."""
    pyarrow = pytest.importorskip("pyarrow", reason="the package pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"id": list(range(len(TEXTS))), "text": TEXTS})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=4)
    return tmp_path / "rows.parquet"


def test_rows_are_documents(file):
    source = ParquetSource(file)
    assert source.size == 7
    rows = list(source.read(0, 7, None, inside=False, can_split=True))
    assert [(row.text, row.begins, row.after) for row in rows] == [
        (b"One.", True, 1),
        (b"Two.", True, 4),
        (b"Three.", True, 6),
        (b"Four.", True, 7),
    ]
    for start in range(8):
        later = list(source.read(start, 7, None, inside=False, can_split=True))
        assert later == [row for row in rows if row.offset >= start]


def test_a_file_of_rows_is_prepared(file, tmp_path):
    chosen = split_documents([file], val_fraction=0.25)
    assert chosen.n_bytes is None
    tokenizer = CharTokenizer.from_text("One.Two.Three.Four.\n")
    split = prepare_shards(chosen, tokenizer, tmp_path / "shards").split
    assert tokenizer.decode(split.train[:].tolist()) == "One.\nTwo.\nThree."
    assert tokenizer.decode(split.validation[:].tolist()) == "Four."


def test_a_file_without_texts_is_named(file, tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"story": ["a"]}), tmp_path / "stories.parquet")
    with pytest.raises(UserError, match=r"stories\.parquet has no column 'text', only story; rename"):
        ParquetSource(tmp_path / "stories.parquet")
    (tmp_path / "text.parquet").write_text("a text")
    with pytest.raises(UserError, match=r"text\.parquet is no Parquet file that can be read \(.+\)"):
        ParquetSource(tmp_path / "text.parquet")
    with pytest.raises(UserError, match=r"nowhere\.parquet does not exist"):
        ParquetSource(tmp_path / "nowhere.parquet")


def test_a_damaged_file_is_named(file):
    content = file.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    file.write_bytes(content[:4] + bytes(len(content) - footer - 4) + content[-footer:])
    source = ParquetSource(file)
    with pytest.raises(UserError, match=r"rows\.parquet is damaged"):
        list(source.read(0, 7, None, inside=False, can_split=True))


def test_without_pyarrow_the_sentence_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pyarrow")]:
        monkeypatch.delitem(sys.modules, name)
    imported = builtins.__import__

    def refuse(name, *arguments):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"rows\.parquet is a Parquet file.*pip install pyarrow"):
        ParquetSource("rows.parquet")
