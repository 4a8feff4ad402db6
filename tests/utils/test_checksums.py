"""Checksums: a damaged file is named, and the file of checksums is one that other tools read."""

import hashlib
import shutil
import subprocess

import pytest

from minigpt import UserError
from minigpt.utils.files import CHECKSUM_FILE, verify_checksum, write_checksums


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.json").write_bytes(b"first\n")
    (tmp_path / "b.bin").write_bytes(bytes(range(256)))
    write_checksums(tmp_path)
    return tmp_path


def test_whole_files_pass(folder):
    verify_checksum(folder / "a.json")
    verify_checksum(folder / "b.bin")


def test_the_format_is_that_of_sha256sum(folder):
    lines = (folder / CHECKSUM_FILE).read_bytes().splitlines()
    assert lines[0] == hashlib.sha256(b"first\n").hexdigest().encode() + b"  a.json"
    assert [line.split(b"  ")[1] for line in lines] == [b"a.json", b"b.bin"]
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", CHECKSUM_FILE], cwd=folder, check=True)


def test_any_changed_bit_is_found(folder):
    whole = (folder / "a.json").read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / "a.json").write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.json does not have the checksum that stands in SHA256SUMS"):
            verify_checksum(folder / "a.json")
    verify_checksum(folder / "b.bin")


def test_any_changed_bit_of_the_checksums_is_found_or_harmless(folder):
    whole = (folder / CHECKSUM_FILE).read_bytes()
    bits, found = range(0, 8 * len(whole), 11), 0
    for bit in bits:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / CHECKSUM_FILE).write_bytes(damaged)
        for name in ("a.json", "b.bin"):
            try:
                verify_checksum(folder / name)
            except UserError as error:
                assert name in str(error)
                found += 1
    assert found > 0.9 * len(bits)


def test_a_missing_file_is_named(folder):
    (folder / "b.bin").unlink()
    with pytest.raises(UserError, match=r"b\.bin does not exist"):
        verify_checksum(folder / "b.bin")


def test_a_file_that_was_added_later_is_named(folder):
    (folder / "c.json").write_text("{}")
    with pytest.raises(UserError, match=r"c\.json does not have the checksum"):
        verify_checksum(folder / "c.json")


def test_a_folder_without_checksums_passes(folder):
    (folder / CHECKSUM_FILE).unlink()
    (folder / "a.json").write_text("changed on purpose")
    verify_checksum(folder / "a.json")
