"""Feed damaged files to everything that reads one: bytes changed at random. `led_by_coverage` looks further."""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minigpt import BPETokenizer, CharTokenizer, GPTConfig, TrainConfig, UserError, read_run
from minigpt.config import PRESETS, read_preset
from minigpt.data.corpora import read_text
from minigpt.data.documents import TextSource, split_documents
from minigpt.data.prepare import prepare_shards
from minigpt.data.shards import open_shards
from minigpt.tokenizer.base import load_tokenizer
from minigpt.utils.files import read_json, verify_checksum
from tests.faults.record import Campaign

TEXT = "the cat sat on the mat, the cat's 1234 mats; naïve 日本 🙂🙂 \n\n  the  end\n" * 3
OUTCOME = "read, or refused in one sentence"
PIECES = (
    b"",
    b"\0",
    b"\xff",
    b"{}",
    b"[]",
    b'"',
    b"null",
    b"-1",
    b"1e999",
    b"9" * 25,
    b"NaN",
    b"\\ud800",
    b"\n",
    b"[" * 99,
)


@dataclass(frozen=True)
class Target:
    """A parser: a file that it reads without complaint, and what reads it."""

    path: Path
    read: Callable[[Path], object]
    whole: bytes

    def feed(self, content: bytes) -> None:
        """Read this content from the file; only what should not happen is raised."""
        self.path.write_bytes(content)
        try:
            self.read(self.path)
        except UserError as error:
            if "\n" in str(error).replace(str(self.path), ""):
                raise AssertionError(f"more than a sentence: {error}") from error


def read_config(path: Path) -> None:
    """Read a checkpoint's configuration as loading does, without building the model."""
    GPTConfig.from_dict(read_json(path).get("model"), str(path))


@contextmanager
def targets() -> Iterator[dict[str, Target]]:
    """Give every parser by name, each with a file in a folder of its own."""
    config = GPTConfig(vocab_size=65, block_size=8, n_layer=1, n_head=2, n_embd=8)
    line = {"step": 1, "loss": 4.0, "learning_rate": 1e-3, "gradient_norm": 1.0, "seconds": 1.0}
    line |= {"tokens_per_second": 1.0, "peak_memory_mb": 1.0}
    log = "".join(json.dumps(each) + "\n" for each in ({"model": config.to_dict()}, line, line))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shards = prepare_shards(
            split_documents([TextSource("a", TEXT)]), CharTokenizer.from_text(TEXT), folder / "shards"
        )
        (shards.folder / "SHA256SUMS").unlink(missing_ok=True)  # so that what the manifest says is looked at
        texts = {
            "tokenizer.json": (json.dumps(BPETokenizer.train(TEXT, 270).to_dict()), load_tokenizer),
            "characters.json": (json.dumps(CharTokenizer.from_text(TEXT).to_dict()), load_tokenizer),
            "config.json": (json.dumps({"model": config.to_dict(), "custom_components": []}), read_config),
            "preset.json": (PRESETS["tiny"].to_json(), read_preset),
            "training.json": (json.dumps(TrainConfig().to_dict()), lambda path: TrainConfig.from_dict(read_json(path))),
            "log.jsonl": (log, read_run),
            "text.txt": (TEXT, read_text),
            "SHA256SUMS": (f"{'0' * 64}  text.txt\n", lambda path: verify_checksum(folder / "text.txt")),
        }
        (folder / "text.txt").write_text(TEXT, encoding="utf-8")
        found = {name: Target(folder / name, read, text.encode()) for name, (text, read) in texts.items()}
        manifest = shards.folder / "shards.json"
        found["shards.json"] = Target(manifest, lambda path: open_shards(path.parent), manifest.read_bytes())
        yield found


def damaged(whole: bytes, dice: random.Random) -> bytes:
    """Return a file's content with a few places changed, cut out, repeated or replaced by what is awkward in JSON."""
    content = bytearray(whole)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        start = dice.randrange(len(content) + 1)
        end = min(len(content), start + dice.choice((0, 1, 1, 2, 8, 40, len(content))))
        what = dice.randrange(4)
        if what == 0 and start < len(content):
            content[start] ^= 1 << dice.randrange(8)
        elif what == 1:
            del content[start:end]
        elif what == 2:
            content[start:start] = content[start:end]
        else:
            content[start:end] = dice.choice(PIECES)
    return bytes(content)


def try_parsers(campaign: Campaign, cases: int, seed: int = 1) -> None:
    """Damage each parser's file so many times."""
    with targets() as found:
        for name, target in found.items():
            target.feed(target.whole)
            dice = random.Random(f"{seed} {name}")
            for _ in range(cases):
                content = damaged(target.whole, dice)
                broken = ""
                try:
                    target.feed(content)
                except Exception as error:
                    broken = f"{type(error).__name__}: {error}; {content[:300]!r}"
                campaign.note(f"a damaged {name}", OUTCOME, held=not broken, where=broken)
