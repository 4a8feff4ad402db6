"""How long token shards take to prepare, and in how much memory; the record goes to results/preparing.json.

python -m benchmarks.preparing --minutes 10

Each case is a process of its own, `minigpt data prepare` of generated text: the plays, repeated until there is enough
of it. Processor time is counted over the process and its workers, so that other work on the machine matters little.
The peak of memory is that of all of them together, read every twentieth of a second; pages that they share, such as
the program itself, are counted once (proportional set size, Linux only).
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peers.watching import watched
from minigpt import BPETokenizer, CharTokenizer, UserError, load_corpus, open_shards
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "preparing.json"
CASES = (  # tokenizer, bytes of text, workers
    ("gpt2", 50_000_000, 1),
    ("gpt2", 50_000_000, 2),
    ("gpt2", 50_000_000, 4),
    ("characters", 1_000_000_000, 1),
)


def main() -> None:
    """Run the cases that the record does not hold yet, and save it after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no case after so many minutes")
    parser.add_argument("--scale", type=float, default=1.0, help="prepare this share of the text, for a trial")
    settings = parser.parse_args()
    corpus = load_corpus("shakespeare-plays")
    record = json.loads(settings.out.read_text("utf-8")) if settings.out.exists() else begin(corpus)
    started = time.monotonic()
    for name, n_bytes, workers in CASES:
        case = {"tokenizer": name, "bytes": round(n_bytes * settings.scale), "workers": workers}
        done = any(case.items() <= each.items() for each in record["cases"])
        if done or time.monotonic() - started > 60 * settings.minutes:
            continue
        try:
            record["cases"].append(case | measure(corpus.text, **case))
        except UserError as error:
            print(error)  # GPT-2's vocabulary is not at hand
            continue
        print(record["cases"][-1])
        settings.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def begin(corpus) -> dict:
    """Return a record without cases."""
    return {"text": {"name": corpus.name, "sha256": corpus.sha256}, "machine": environment_info(), "cases": []}


def measure(text: str, tokenizer: str, bytes: int, workers: int) -> dict:
    """Prepare so many bytes in a process of its own; return what it took."""
    chosen = BPETokenizer.gpt2() if tokenizer == "gpt2" else CharTokenizer.from_text(text)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        chosen.save(folder / "tokenizer.json")
        with (folder / "text.txt").open("wb") as file:
            content = text.encode("utf-8") + b"\n\n"
            while file.tell() < bytes:
                file.write(content[: bytes - file.tell()])
        options = ["--text", folder / "text.txt", "--separator", r"\n\n", "--tokenizer", folder / "tokenizer.json"]
        options += ["--out", folder / "shards", "--workers", workers]
        command = [sys.executable, "-m", "minigpt", "data", "prepare", *map(str, options)]
        found = watched(command)
        parts = open_shards(folder / "shards").manifest["parts"].values()
        tokens, documents = (sum(part[name] for part in parts) for name in ("tokens", "documents"))
        shutil.rmtree(folder / "shards")
    return {
        "seconds": round(found.seconds, 1),
        "processor_seconds": round(found.processor_seconds, 1),
        "peak_memory_mb": round(found.peak / 1e6),
        "tokens": tokens,
        "documents": documents,
    }


if __name__ == "__main__":
    main()
