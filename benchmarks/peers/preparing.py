"""A text of any size to token shards in two processes, beside `tokenizers` on two threads, with the same vocabulary.

The text is made of passages of the plays in random order. A gigabyte is prepared by minigpt alone: the peer would take
minutes, so its speed is that of the largest text that both prepare.
"""

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.peers import peer_shards
from benchmarks.peers.record import Row
from benchmarks.peers.sameness import equal
from benchmarks.peers.subwords import plays
from benchmarks.peers.turns import Turns
from benchmarks.peers.watching import Watched, watched
from minigpt import BPETokenizer, open_shards
from minigpt.tokenizer.hf import to_hf_tokenizer

NAME = "preparing"
SEPARATOR = "\n\n\n"
PASSAGE = 2_000  # characters, or a little more
WORKERS = 2
VOCABULARY = 16_384
AIM = 0.9


def rows(quick: bool) -> Iterator[Row]:
    """Yield a row for each size of text: the time, and the memory of both sides."""
    os.environ["RAYON_NUM_THREADS"] = str(WORKERS)
    text = plays()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_tokenizers(text, folder)
        passages = passages_of(text)
        same = same_ids(passages, folder)
        for size, rounds in ((10_000_000, 1),) if quick else ((20_000_000, 2), (80_000_000, 1)):
            write_text(passages, size, folder / "text.txt")
            found = [(prepare(folder), prepare_there(folder)) for _ in range(rounds)]
            yield make_row(size, found, same)
        speed = size / found[-1][1].seconds
        last = 20_000_000 if quick else 1_000_000_000
        write_text(passages, last, folder / "text.txt")
        alone = prepare(folder)
        yield Row(
            work=f"preparing {last / 1e6:,g} MB in {WORKERS} processes",
            ours="minigpt data prepare",
            peer=f"tokenizers to numpy, at its speed with {size / 1e6:g} MB",
            same=same,
            value=last / alone.seconds / speed,
            aim=AIM,
            details=details([alone], "ours"),
        )


def make_row(size: int, found: list[tuple[Watched, Watched]], same: str) -> Row:
    """Return the row of one size, of what each side took in each round."""
    ours, peer = (list(side) for side in zip(*found, strict=True))
    return Row(
        work=f"preparing {size / 1e6:g} MB in {WORKERS} processes",
        ours="minigpt data prepare",
        peer="tokenizers to numpy",
        same=same,
        times=Turns([each.seconds for each in ours], [each.seconds for each in peer]),
        aim=AIM,
        details=details(ours, "ours") | details(peer, "peer"),
    )


def details(found: list[Watched], side: str) -> dict[str, float]:
    """Return the memory and the processor time that a side took at most."""
    return {
        f"peak_memory_mb_{side}": round(max(each.peak for each in found) / 1e6),
        f"processor_seconds_{side}": round(max(each.processor_seconds for each in found), 1),
    }


def save_tokenizers(text: str, folder: Path) -> None:
    """Learn a vocabulary and write it for both sides."""
    tokenizer = BPETokenizer.train(text, VOCABULARY, fast=True)
    tokenizer.save(folder / "ours.json")
    (folder / "theirs.json").write_text(json.dumps(to_hf_tokenizer(tokenizer)), encoding="utf-8")


def passages_of(text: str) -> list[str]:
    """Cut a text between two paragraphs, into passages of some length."""
    passages = [""]
    for paragraph in filter(None, text.split("\n\n")):
        if len(passages[-1]) > PASSAGE:
            passages.append("")
        passages[-1] += f"{paragraph}\n\n"
    return [passage.strip() for passage in passages]


def write_text(passages: list[str], size: int, path: Path) -> None:
    """Write passages in random order until there are so many bytes."""
    choose = random.Random(0).choice
    with path.open("wb") as file:
        while file.tell() < size:
            file.write((choose(passages) + SEPARATOR).encode("utf-8"))


def same_ids(passages: list[str], folder: Path) -> str:
    """Prepare a small text on both sides and return a sentence that says that the ids are the same."""
    write_text(passages, 1_000_000, folder / "text.txt")
    prepare(folder)
    prepare_there(folder)
    ours = open_shards(folder / "shards").split.train[:]
    return equal("ids", ours.tolist(), np.fromfile(folder / "shards.bin", "<u2").tolist())


def prepare(folder: Path) -> Watched:
    """Prepare the text as minigpt does, into a new folder; what it holds out is a file of its own."""
    out = folder / "shards"
    (folder / "held out.txt").write_text("All.", encoding="utf-8")
    for path in out.glob("*"):
        path.unlink()
    options = {"text": folder / "text.txt", "separator": SEPARATOR.replace("\n", r"\n"), "out": out}
    options |= {"tokenizer": folder / "ours.json", "workers": WORKERS, "validation": folder / "held out.txt"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return watched([sys.executable, "-m", "minigpt", "data", "prepare", *words])


def prepare_there(folder: Path) -> Watched:
    """Prepare the text with `tokenizers`."""
    places = [str(folder / "text.txt"), str(folder / "theirs.json"), SEPARATOR, str(folder / "shards.bin")]
    return watched([sys.executable, peer_shards.__file__, *places])
