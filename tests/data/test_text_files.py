"""Text as it comes: byte order marks, gzip, JSON Lines, folders, and what is no text."""

import gzip
import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import UserError, read_text
from minigpt.data import documents
from minigpt.data.documents import JsonLinesSource, ReadPosition, TextSource, check_separator, split_documents
from minigpt.data.text_files import list_texts, read_texts

MARK = b"\xef\xbb\xbf"
TEXTS = st.text(st.sampled_from("ab é\n\r日🙂"), min_size=1, max_size=40)


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Read little at once, so that a small text is cut in many places."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_BLOCK_BYTES", 7)
        patch.setattr(documents, "BATCH", 9)
        yield


def read(chosen, place=None):
    return [piece for batch in chosen.batches(place or ReadPosition(), True) for piece in batch.chunks]


def whole(pieces, part=None) -> list[str]:
    """Put the documents together again, all or those of one part."""
    found: list[bytes] = []
    for piece in pieces:
        if part in (None, piece.part):
            found = [*found, b""] if piece.begins else found
            found[-1] += piece.text
    return [document.decode() for document in found]


FORMS = {
    "plain": lambda content: content,
    "with a mark": lambda content: MARK + content,
    "packed": gzip.compress,
    "packed with a mark": lambda content: gzip.compress(MARK + content),
    "packed in two members": lambda content: gzip.compress(content[:5]) + gzip.compress(content[5:]),
}
every_form = pytest.mark.parametrize("form", FORMS)


@every_form
@given(text=TEXTS)
def test_a_text_is_the_same_in_every_form(tmp_path_factory, form, text):
    path = tmp_path_factory.mktemp("form") / "text.txt"
    path.write_bytes(FORMS[form](text.encode()))
    assert read_text(path) == text
    assert b"".join(piece.text for piece in read(split_documents([path], [path]))).decode() == 2 * text


@every_form
@given(text=TEXTS, fraction=st.sampled_from([0.05, 0.5, 0.9]))
def test_nothing_is_lost_where_the_end_is_held_out(tmp_path_factory, form, text, fraction):
    path = tmp_path_factory.mktemp("form") / "text.txt"
    path.write_bytes(FORMS[form](text.encode()))
    chosen = split_documents([path], val_fraction=fraction)
    assert b"".join(piece.text for piece in read(chosen)).decode() == text


@every_form
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_reading_goes_on_from_every_place(tmp_path_factory, form, texts):
    folder = tmp_path_factory.mktemp("form")
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_bytes(FORMS[form](text.encode()))
    chosen = split_documents(sorted(folder.iterdir()), separator="\n", val_fraction=0.4)
    batches = list(chosen.batches(ReadPosition(), True))
    for number, batch in enumerate(batches):
        expected = [piece for later in batches[number + 1 :] for piece in later.chunks]
        assert b"".join(piece.text for piece in read(chosen, batch.after)) == b"".join(piece.text for piece in expected)


def test_each_file_has_a_mark_of_its_own(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_bytes(MARK + f"text {number}".encode())
    files = sorted(tmp_path.iterdir())
    assert whole(read(split_documents(files, val_fraction=0.4))) == ["text 0", "text 1", "text 2"]
    assert read_texts(tmp_path) == "text 0\n\ntext 1\n\ntext 2"


def test_a_mark_inside_a_text_stays(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a" + MARK)
    assert read_text(tmp_path / "a.txt") == "a\ufeff"


def packed_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "a text")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (packed_zip(), "is a zip archive, as documents of Word and books in epub are; unpack it"),
        (b"%PDF-1.7\n\xe2\xe3", "is a PDF; take its text out first"),
        (b"PAR1\x15\x04", "is a Parquet file; give it the ending .parquet"),
        ("a text".encode("utf-16"), "is text in UTF-16; convert it to UTF-8 first"),
        (b"\xfe\xff\x00a", "is text in UTF-16; convert it"),
        (b"BZh91AY&SY\x00", "is packed with bzip2; unpack it first, with bunzip2"),
        (b"\xfd7zXZ\x00\x00", "is packed with xz; unpack it first"),
        (b"(\xb5/\xfd\x04", "is packed with zstd"),
        (b"a.txt" + bytes(252) + b"ustar\x0000", "is a tar archive; unpack it, and name the folder"),
        (gzip.compress(b"a.txt" + bytes(252) + b"ustar\x0000"), "is a tar archive"),
        (b"{\\rtf1\\ansi a text}", "is rich text; save it as plain text"),
        (gzip.compress(b"a text" * 50)[:-9], "is packed with gzip and truncated or damaged; fetch it again"),
        (b"\x1f\x8b\x08 no gzip at all", "is packed with gzip and truncated or damaged"),
    ],
    ids=range(13),
)
def test_what_is_no_text_is_told_with_what_to_do(tmp_path, content, said):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    for attempt in (read_text, TextSource):
        with pytest.raises(UserError) as error:
            attempt(path)
        assert str(error.value).startswith(f"{path} {said}") and "\n" not in str(error.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_text_or_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "text.txt"
    path.write_bytes(content)
    try:
        assert read_text(path).encode() in (content, content.removeprefix(MARK))
    except UserError as error:
        assert str(path) in str(error)


# --- folders


def test_the_texts_of_a_folder_are_read_in_order(tmp_path):
    for name in ("b.txt", "a/z.md", "a/packed.txt.gz", "c.jsonl", "picture.png", ".hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    names = [path.relative_to(tmp_path).as_posix() for path in list_texts([tmp_path])]
    assert names == ["a/packed.txt.gz", "a/z.md", "b.txt", "c.jsonl"]
    assert list_texts([tmp_path / "b.txt"]) == [tmp_path / "b.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no file that ends in \.txt"):
        list_texts([tmp_path / "empty"])


# --- JSON Lines


def write_rows(path, *texts, field="text", pack=lambda content: content):
    path.write_bytes(pack("".join(json.dumps({field: text, "more": 1}) + "\n" for text in texts).encode()))
    return path


@every_form
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), min_size=1, max_size=6))
def test_rows_are_documents(tmp_path_factory, form, texts):
    path = write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", *texts, pack=FORMS[form])
    expected = [text.encode().strip().decode() for text in texts]
    chosen = split_documents([path], val_fraction=0.5)
    pieces = read(chosen)
    assert whole(pieces) == [text for text in expected if text]
    assert whole(pieces, "validation") == [text for text in expected if text][1::2]
    assert chosen.n_bytes == chosen.spans[0].source.size
    for batch in chosen.batches(ReadPosition(), True):
        rest = read(chosen, batch.after)
        assert rest == pieces[len(pieces) - len(rest) :]


def test_another_field_is_named(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", "a", "b", field="story")
    chosen = split_documents([path], field="story", val_fraction=0.5)
    assert whole(read(chosen)) == ["a", "b"] and chosen.describe()["files"][0]["field"] == "story"
    with pytest.raises(UserError, match="has no text under 'text'; its fields are 'story', 'more', so name another"):
        read(split_documents([path]))


def test_the_rows_of_a_file_are_one_text_too(tmp_path):
    assert read_text(write_rows(tmp_path / "rows.jsonl", "a\nb", "", "c")) == "a\nb\n\nc"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "is not JSON; each line"),
        (b"[1]", "is JSON but no object"),
        (b'{"text": 7}', "has no text under 'text'"),
        (b"{}", "has no text under 'text'; its fields are none"),
        (b'{"text": "\\ud800"}', "holds half of a surrogate pair"),
        (b'{"text": "\xff"}', "is not JSON|is not UTF-8"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path, line, said):
    path = write_rows(tmp_path / "rows.jsonl", "fine")
    begins = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"\n" + line)
    with pytest.raises(UserError, match=rf"rows\.jsonl, the line that begins at byte {begins + 1}, .*(?:{said})"):
        read(split_documents([path]))
    with pytest.raises(UserError, match=rf"rows\.jsonl(, line 3)? (?:{said})"):
        read_text(path)


def test_rows_that_went_missing_are_named(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", "a", "b")
    source = JsonLinesSource(path)
    write_rows(path, "a")
    with pytest.raises(UserError, match="has become shorter"):
        list(source.read(0, source.size, None, False, True))


# --- separators


@given(text=st.text("ab#\n", max_size=60), separator=st.sampled_from(["#", "\n\n", "a#b", "b\n\n#"]))
def test_a_separator_is_looked_for_in_all_texts(text, separator):
    chosen = split_documents([TextSource("one", "ab" * 9), TextSource("two", text)], separator=separator)
    if separator in text:
        check_separator(chosen)
    else:
        with pytest.raises(UserError, match="stands nowhere in one, two; name a text that stands between"):
            check_separator(chosen)


def test_returns_before_line_ends_are_told():
    chosen = split_documents([TextSource("windows.txt", "a\r\n\r\nb\r\n")], separator="\n\n")
    with pytest.raises(UserError) as error:
        check_separator(chosen)
    assert str(error.value) == (
        r"The separator '\n\n' stands nowhere in windows.txt; lines end in \r\n there, so name '\r\n\r\n'."
    )


def test_rows_need_no_separator(tmp_path):
    check_separator(split_documents([write_rows(tmp_path / "rows.jsonl", "a")], separator="#"))


def test_a_missing_parquet_file_is_missing_before_a_package_is():
    with pytest.raises(UserError, match=r"nosuch\.parquet does not exist; check the path"):
        split_documents(["nosuch.parquet"])
