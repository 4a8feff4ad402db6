"""Preparing shards: the same ids as in one go, for any documents, and however often the run is interrupted."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from minigpt import BPETokenizer, CharTokenizer, UserError, prepare_shards
from minigpt.data import documents
from minigpt.data import documents as text_source
from minigpt.data import prepare as workers
from minigpt.data.documents import TextSource, split_documents
from minigpt.data.prepare import Encoder, separator_ids
from minigpt.data.shards import check_shards, open_shards
from minigpt.tokenizer.base import TOKENIZERS

BPE = BPETokenizer.train("the cat sat on the mat, and the cat's hat sat " * 9, 275)
CHARACTERS = CharTokenizer("\n abcé#")
TEXTS = st.lists(st.text(" abcé\n", min_size=1, max_size=50), min_size=2, max_size=9)


@pytest.fixture
def small_blocks():
    """Read little at once, so that a small text is cut in many places."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_source, "_BLOCK_BYTES", 7)
        patch.setattr(documents, "BATCH", 9)
        patch.setattr(os, "fsync", lambda handle: None)  # no power fails here, and it takes most of the time
        yield


@pytest.fixture
def workers_as_threads():
    """Several workers without the seconds that a process takes to begin."""

    def begin(n_workers, method, init_worker, arguments):
        workers._encoder = Encoder(TOKENIZERS[arguments[0]["kind"]].from_dict(arguments[0]))
        return ThreadPoolExecutor(n_workers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "ProcessPoolExecutor", begin)
        patch.setattr(workers, "_encoder", None, raising=False)
        yield


def joined(texts, tokenizer) -> list[int]:
    """Encode every document in one go."""
    between = separator_ids(tokenizer)
    return [id for text in texts for id in (*between, *tokenizer.encode(text))][len(between) :]


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(
    texts=TEXTS,
    tokenizer=st.sampled_from([BPE, CHARACTERS]),
    sizes=st.fixed_dictionaries({"shard_tokens": st.integers(3, 40), "workers": st.integers(1, 3)}),
    records=st.booleans(),
)
@pytest.mark.usefixtures("small_blocks", "workers_as_threads")
def test_any_documents_have_the_ids_of_encoding_in_one_go(tmp_path_factory, texts, tokenizer, sizes, records):
    folder = tmp_path_factory.mktemp("any") / "shards"
    if records:
        source = [TextSource("all", "#".join(texts))]
        texts = [text for text in (text.strip(" \n") for text in texts) if text]
    else:
        source = [TextSource(f"{number}", text) for number, text in enumerate(texts)]
    chosen = split_documents(source, separator="#" if records else None, val_fraction=0.5)
    if len(texts) < 2:
        with pytest.raises(UserError, match="one part gets none"):
            prepare_shards(chosen, tokenizer, folder, **sizes)
        return
    split = prepare_shards(chosen, tokenizer, folder, **sizes).split
    assert split.train[:].tolist() == joined(texts[0::2], tokenizer)
    assert split.validation[:].tolist() == joined(texts[1::2], tokenizer)
    assert all(len(array) <= sizes["shard_tokens"] for array in (*split.train.arrays, *split.validation.arrays))
    check_shards(folder)
    shutil.rmtree(folder.parent)


@pytest.fixture
def stories(small_blocks, tmp_path) -> Path:
    """Forty short documents in a file."""
    text = "#".join(f"the cat sat on mat {number}\n" * (number % 5) for number in range(40))
    (tmp_path / "stories.txt").write_text(text)
    return tmp_path / "stories.txt"


@pytest.fixture
def make(stories):
    """Prepare the stories: `make(folder, **changes)`."""

    def make(folder, tokenizer=BPE, files=None, separator="#", share=0.25, **changes):
        chosen = split_documents(files or [stories], separator=separator, val_fraction=share)
        return prepare_shards(chosen, tokenizer, folder, **({"shard_tokens": 50, "progress_every": 100} | changes))

    return make


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_to_the_same_bytes(make, killed_at, tmp_path):
    expected = everything(make(tmp_path / "alone").folder)
    folder, moment, kills = tmp_path / "killed", 1, 0
    while killed_at(moment, lambda: make(folder)):
        kills += 1
        if kills % 5 == 0:
            shutil.rmtree(folder, ignore_errors=True)
        moment += random.Random(moment).randrange(1, 4)
    assert kills > 10
    assert everything(folder) == expected
    assert not killed_at(10_000, lambda: make(folder)), "a finished folder is left as it is"
    assert everything(folder) == expected


def test_a_run_killed_again_and_again_goes_on(make, killed_at, tmp_path):
    expected = everything(make(tmp_path / "alone").folder)
    folder, kills = tmp_path / "killed", 0
    while killed_at(35, lambda: make(folder)):
        kills += 1
        assert kills < 100
    assert kills >= 3
    assert everything(folder) == expected


def test_a_run_that_is_stopped_notes_its_last_batch_and_goes_on(make, tmp_path):
    expected, asked = everything(make(tmp_path / "alone").folder), 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked % 10 == 0

    runs = 1
    while make(tmp_path / "stopped", progress_every=10**9, stopped=stopped) is None:
        runs += 1
        assert runs < 100
    assert runs > 3
    assert everything(tmp_path / "stopped") == expected


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(make, full_disk, tmp_path):
    changes = {"files": [TextSource("long", "the cat sat on\n#" * 2000)], "shard_tokens": 10**6}
    expected = everything(make(tmp_path / "alone", **changes).folder)
    for room in (100, 8000):  # not enough for the tokenizer; enough for it, but not for the shards
        with full_disk(room), pytest.raises(UserError) as error:
            make(tmp_path / "full", **changes)
        assert str(error.value) == (
            f"{tmp_path / 'full'} cannot be written (File too large); make room or choose another place, and run the "
            "same command again: it goes on where it stopped."
        )
    assert (tmp_path / "full" / "train-00000.bin").stat().st_size > 0
    assert everything(make(tmp_path / "full", **changes).folder) == expected


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"tokenizer": CharTokenizer("\n abcdefghijklmnopqrstuvwxyz0123456789")}, "tokenizer"),
        ({"shard_tokens": 51}, "number of tokens a shard"),
        ({"separator": "\n"}, "separator"),
        ({"share": 0.5}, "validation share"),
        ({"files": [TextSource("other.txt", "a#b")]}, "texts"),
    ],
)
def test_another_request_for_the_same_folder_is_named(make, killed_at, tmp_path, changes, what):
    make(tmp_path / "whole")
    killed_at(40, lambda: make(tmp_path / "begun"))
    assert (tmp_path / "begun" / "progress.json").exists()
    for name in ("whole", "begun"):
        before = everything(tmp_path / name)
        with pytest.raises(UserError, match=f"{name} was begun with another {what}; use the same, or choose a new"):
            make(tmp_path / name, **changes)
        assert everything(tmp_path / name) == before


def test_what_changed_since_the_run_began_is_named(make, stories, killed_at, tmp_path):
    killed_at(40, lambda: make(tmp_path / "begun"))
    os.utime(stories, (1, 1))
    with pytest.raises(UserError, match=r"stories\.txt was changed since .*begun was begun; choose a new folder"):
        make(tmp_path / "begun")


def test_a_shard_that_an_interrupted_run_lost_is_named(make, killed_at, tmp_path):
    killed_at(60, lambda: make(tmp_path / "begun"))
    (tmp_path / "begun" / "train-00000.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"train-00000\.bin is not what the interrupted run left there; delete"):
        make(tmp_path / "begun")


def test_damaged_progress_is_named(make, killed_at, tmp_path):
    killed_at(60, lambda: make(tmp_path / "begun"))
    progress = tmp_path / "begun" / "progress.json"
    progress.write_text(progress.read_text().replace('"documents": ', '"documents": 1'))
    with pytest.raises(UserError, match=r"progress\.json is damaged; delete .*begun and begin again"):
        make(tmp_path / "begun")


def test_a_draft_that_a_killed_run_left_is_cleared_away(make, killed_at, tmp_path):
    killed_at(60, lambda: make(tmp_path / "begun"))
    for name in ("begun", "begun"):  # in the run that goes on, and when all is done
        (tmp_path / name / ".progress.json.new").write_text("{")
        make(tmp_path / name, progress_every=10**9)
        assert not list((tmp_path / name).glob(".*.new"))


def test_a_finished_folder_on_a_disk_that_cannot_be_written_is_opened(make, tmp_path, monkeypatch):
    make(tmp_path / "whole")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert len(make(tmp_path / "whole").split.train) > 0


def test_a_folder_with_other_things_is_left_alone(make, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("a year of work")
    with pytest.raises(UserError, match=r"mine holds other files already, such as thesis\.txt; choose a new"):
        make(folder)
    assert everything(folder) == {"thesis.txt": b"a year of work"}
    (folder / "thesis.txt").rename(tmp_path / "thesis.txt")
    CHARACTERS.save(folder / "tokenizer.json")
    with pytest.raises(UserError, match=r"tokenizer\.json is another tokenizer; use that one"):
        make(folder)
    BPE.save(folder / "tokenizer.json")
    make(folder)
    with pytest.raises(UserError, match=r"thesis\.txt cannot be written \(File exists\); choose another folder"):
        make(tmp_path / "thesis.txt")


def test_a_folder_that_another_process_holds_is_left_alone(make, tmp_path):
    (tmp_path / "shards").mkdir()
    with (
        FileLock(tmp_path / "shards" / ".lock"),
        pytest.raises(UserError, match=r"shards is locked by another process, which is preparing it"),
    ):
        make(tmp_path / "shards")
    assert everything(tmp_path / "shards") == {".lock": b""}
    assert len(make(tmp_path / "shards").split.train) > 0


def test_bad_numbers_and_bad_texts_are_named(make, tmp_path):
    for name in ("workers", "shard_tokens"):
        with pytest.raises(UserError, match=f"{name} = 0 must be at least 1"):
            make(tmp_path / "x", **{name: 0})
    (tmp_path / "latin.txt").write_bytes(b"abc#a\xe9c#" * 3)
    with pytest.raises(UserError, match=r"latin\.txt is not UTF-8 text \(byte 5 cannot be read\); convert it"):
        make(tmp_path / "latin", files=[tmp_path / "latin.txt"])
    with pytest.raises(UserError, match="Of 1 document one part gets none; name a separator or another share"):
        make(tmp_path / "one", files=[TextSource("a", "only one")])


STATUS = Path("/proc/self/status")  # what Linux says of a process; its getrusage counts the parent's memory, too
linux = pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the most memory that a process had")
unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix kills in this way")


def most_memory(code: str, *arguments: object) -> float:
    """Run a line of code in a process of its own and return the most memory it had in MB."""
    script = f"try:\n    {code}\nfinally:\n    print(open({str(STATUS)!r}).read())"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"VmHWM:\s*(\d+) kB", done.stdout)[1]) / 1e3


def generate(path: Path, n_bytes: int) -> None:
    """Write documents of some thousand characters each, all different, until there are so many bytes."""
    words = "".join(random.Random(0).choices("etaoin shrdlu\n", k=1_000_000))
    with path.open("w") as file:
        for number in range(n_bytes // 4000):
            start = number * 997 % 990_000
            file.write(f"{number}\n{words[start : start + 4000]}\n<|endoftext|>\n")


@linux
@pytest.mark.parametrize("n_bytes", [50_000_000, pytest.param(1_000_000_000, marks=pytest.mark.slow)])
def test_a_large_text_takes_little_memory(tmp_path, n_bytes):
    generate(tmp_path / "large.txt", n_bytes)
    CharTokenizer("\n 0123456789adehilnorstu").save(tmp_path / "tokenizer.json")
    folder = tmp_path / "shards"
    options = ("--text", tmp_path / "large.txt", "--separator", "<|endoftext|>")
    options += ("--tokenizer", tmp_path / "tokenizer.json", "--out", folder, "--workers", 1)
    peak = most_memory("from minigpt.cli import main; main()", "data", "prepare", *options)
    train, validation = open_shards(folder).split
    size = (tmp_path / "large.txt").stat().st_size
    shutil.rmtree(folder)
    (tmp_path / "large.txt").unlink()  # pytest keeps the folders of its last runs
    assert size >= n_bytes and 0.98 * size < len(train) + len(validation) < size
    assert len(validation) == pytest.approx(0.05 * size, rel=0.01)
    library = most_memory("import torch")  # with the parts for a GPU it takes more than the work itself
    assert peak - library < 200, f"{peak:.0f} MB, of which {library:.0f} MB are PyTorch's"


@unix
@pytest.mark.slow
def test_a_command_with_workers_is_killed_and_goes_on(tmp_path, monkeypatch):
    """Once with real processes: an interpreter with two workers, a SIGKILL, no orphans, the same bytes in the end."""
    generate(tmp_path / "stories.txt", 3_000_000)
    chosen = split_documents([tmp_path / "stories.txt"], separator="<|endoftext|>")
    expected = everything(prepare_shards(chosen, BPE, tmp_path / "alone", shard_tokens=100_000).folder)
    script = "from pathlib import Path\nfrom minigpt import BPETokenizer, load_tokenizer, prepare_shards\n"
    script += "from minigpt.data.documents import split_documents\nif __name__ == '__main__':\n"
    script += f"    folder, text = Path({str(tmp_path / 'killed')!r}), {str(tmp_path / 'stories.txt')!r}\n"
    script += "    chosen = split_documents([text], separator='<|endoftext|>')\n"
    script += "    tokenizer = load_tokenizer(folder.with_name('alone') / 'tokenizer.json')\n"
    script += "    prepare_shards(chosen, tokenizer, folder, shard_tokens=100_000, workers=2, progress_every=1)\n"
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, tmp_path / "script.py"]
    with subprocess.Popen(command, env=environment) as process:
        progress = tmp_path / "killed" / "progress.json"
        while process.poll() is None and not (progress.exists() and '"open_tokens": 0' not in progress.read_text()):
            time.sleep(0.001)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    _, orphans = psutil.wait_procs(workers, timeout=30)
    assert workers and not orphans
    assert len(json.loads(progress.read_text())["parts"]["train"]["shards"]) < 10, "killed too late"
    prepare_shards(chosen, BPE, tmp_path / "killed", shard_tokens=100_000)
    assert everything(tmp_path / "killed") == expected
