"""Documents: nothing is lost between the pieces, reading goes on from any of them, and a fair share is held out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import UserError
from minigpt.data import documents
from minigpt.data import documents as text_source
from minigpt.data.documents import ReadPosition, TextSource, split_documents

TEXTS = st.text("ab \n\u3000é#", max_size=60)


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Read little at once, so that a small text is cut in many places."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_source, "_BLOCK_BYTES", 7)
        patch.setattr(documents, "BATCH", 9)
        yield


def whole(pieces) -> dict[str, list[str]]:
    """Put the documents of each part together again."""
    found: dict[str, list[str]] = {"train": [], "validation": []}
    for piece in pieces:
        if piece.begins:
            found[piece.part].append("")
        found[piece.part][-1] += piece.text.decode()
    return found


def read(chosen, place=None, can_split=True):
    return [piece for batch in chosen.batches(place or ReadPosition(), can_split) for piece in batch.chunks]


@given(text=TEXTS, separator=st.sampled_from(["#", "\n", "\n\n", "a#b"]), can_split=st.booleans())
def test_documents_stand_between_separators(text, separator, can_split):
    chosen = split_documents([TextSource("a", text)], separator=separator, val_fraction=0.5)
    expected = [part.strip(" \n") for part in text.split(separator)]
    expected = [part for part in expected if part]
    found = whole(read(chosen, can_split=can_split))
    assert found == {"train": expected[0::2], "validation": expected[1::2]}


@given(texts=st.lists(TEXTS, min_size=1, max_size=4), separator=st.sampled_from(["#", None]), can_split=st.booleans())
def test_reading_goes_on_from_every_place(texts, separator, can_split):
    sources = [TextSource(f"{number}", text) for number, text in enumerate(texts)]
    chosen = split_documents(sources, separator=separator, val_fraction=0.4)
    batches = list(chosen.batches(ReadPosition(), can_split))
    for number, batch in enumerate(batches):
        expected = [piece for later in batches[number + 1 :] for piece in later.chunks]
        rest = read(chosen, batch.after, can_split)
        earlier = [piece for before in batches[: number + 1] for piece in before.chunks]
        assert whole(earlier + rest) == whole(earlier + expected)


@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_every_byte_of_whole_files_is_kept(texts):
    chosen = split_documents([TextSource(f"{number}", text) for number, text in enumerate(texts)])
    content = b"".join(text.encode() for text in texts)
    for can_split in (True, False):
        assert b"".join(piece.text for piece in read(chosen, can_split=can_split)) == content


def test_a_share_is_held_out_evenly():
    chosen = split_documents([TextSource("a", "\n".join(map(str, range(1, 101))))], separator="\n")
    assert whole(read(chosen))["validation"] == ["20", "40", "60", "80", "100"]
    tenth = split_documents([TextSource(f"{n}", f"{n}") for n in range(10)], val_fraction=0.3)
    assert whole(read(tenth))["validation"] == ["3", "6", "9"], "files are documents where there are enough of them"


def test_of_few_files_the_end_of_each_is_held_out():
    lines = [f"line {number:02d}\n" for number in range(100)]
    sources = [TextSource(name, "".join(lines)) for name in "ab"]
    found = whole(read(split_documents(sources)))
    assert found == {"train": ["".join(lines[:95])] * 2, "validation": ["".join(lines[95:])] * 2}


def test_files_can_be_held_out(tmp_path):
    for name in ("train.txt", "held-out.txt"):
        (tmp_path / name).write_text(f"{name}\nmore")
    chosen = split_documents([tmp_path / "train.txt"], [str(tmp_path / "held-out.txt")], separator="\n")
    assert whole(read(chosen)) == {"train": ["train.txt", "more"], "validation": ["held-out.txt", "more"]}
    assert chosen.n_bytes == 31
    assert [file["part"] for file in chosen.describe()["files"]] == ["train", "validation"]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ([], {}, "There is nothing to prepare; name at least one file"),
        (["a"], {"val_fraction": 1.0}, "val_fraction = 1.0 must lie between 0 and 1"),
        (["a"], {"val_fraction": 0.0}, "val_fraction = 0.0 must lie between 0 and 1"),
        (["a"], {"separator": ""}, "The separator is empty; leave it out"),
        (["nowhere.txt"], {}, "nowhere.txt does not exist; check the path"),
        (["."], {}, "cannot be read"),
    ],
)
def test_bad_input_is_named(files, options, message):
    with pytest.raises(UserError, match=message):
        split_documents(files, **options)
