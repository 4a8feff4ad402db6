"""Shards and downloads that are killed on the way, and servers that stall, break off, or serve something else."""

import hashlib
import http.server
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from minigpt import BPETokenizer, UserError, prepare_shards
from minigpt.data import documents, download
from minigpt.data import documents as text_source
from minigpt.data.documents import split_documents
from minigpt.data.shards import check_shards
from tests.faults.processes import Death, finish, start
from tests.faults.record import Campaign
from tests.faults.sameness import of_folder

TOKENIZER = BPETokenizer.train("the cat sat on the mat, and the cat's hat sat " * 9, 275)
STORIES = "#".join(f"the cat sat on mat {number}\n" * (number % 5) for number in range(60))
SAME_SHARDS = "the shards are those of a run left alone, byte for byte, and nothing else is left"
CONTENT = b"FIRST CITIZEN:\nSpeak.\n" * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NEVER_HALF = "the file is whole or not there, and the next call fetches the rest"


def killed_preparing(campaign: Campaign, place: Path, dice: random.Random, kills: int) -> None:
    """Prepare shards, killed at calls of the file system, with and without the power, until that is done."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "stories.txt").write_text(STORIES, encoding="utf-8")
    text_source._BLOCK_BYTES, documents.BATCH = 7, 9  # so that a small text is read in many pieces

    def make(folder: Path) -> None:
        chosen = split_documents([place / "stories.txt"], separator="#", val_fraction=0.25)
        prepare_shards(chosen, TOKENIZER, folder, shard_tokens=50, progress_every=100)

    make(place / "alone")
    expected = of_folder(place / "alone")
    killed = runs = 0
    while killed < kills:
        power = runs % 2 == 1
        fault = "the power cut while shards are prepared" if power else "a kill while shards are prepared"
        folder, here, code = place / f"killed{runs}", 0, -1
        while code:
            moment = dice.randrange(5, 120) if killed + here < kills else 10**9
            death = Death(moment, power, folder)
            code = finish(start(lambda folder=folder: make(folder), place / "output.txt", death))
            if code not in (0, -signal.SIGKILL):
                campaign.note(fault, SAME_SHARDS, False, (place / "output.txt").read_text("utf-8")[-900:])
                return
            here += code != 0
        check_shards(folder)
        for _ in range(here):
            campaign.note(fault, SAME_SHARDS, of_folder(folder) == expected, f"{names(folder)}")
        killed, runs = killed + here, runs + 1


def names(folder: Path) -> list[str]:
    """Return the names of what stands in a folder."""
    return sorted(path.name for path in folder.iterdir())


@dataclass
class Server:
    """A web server on this machine, and how it behaves."""

    address: str = ""
    breaks_off: int | None = None  # after so many bytes
    stalls: float = 0.0  # seconds after each of them
    content: bytes = CONTENT
    asked: list[int] = field(default_factory=list)  # from which byte on


@contextmanager
def serving() -> Iterator[Server]:
    """Serve a file until the block ends."""
    served = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            begin = int(re.search(r"\d+", self.headers.get("Range", "0"))[0])
            served.asked.append(begin)
            if begin and begin >= len(served.content):
                return self.send_error(416)
            rest = served.content[begin:]
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            for place in range(0, len(rest), 1000):
                if served.breaks_off is not None and place >= served.breaks_off:
                    return None
                try:
                    self.wfile.write(rest[place : place + 1000])
                except OSError:  # the other side was killed
                    return None
                time.sleep(served.stalls)
            return None

        def log_message(self, *arguments) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        served.address = f"http://127.0.0.1:{running.server_port}/text.txt"
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        running.shutdown()


def refused(action: Callable[[], object], says: str) -> bool:
    """Return whether an action is refused with a sentence that says this."""
    try:
        action()
    except UserError as error:
        return says in str(error)
    return False


def killed_downloads(campaign: Campaign, place: Path, dice: random.Random, kills: int) -> None:
    """Download a file while processes are killed, then from servers that do not do what they should."""
    import pooch

    pooch.os_cache = lambda name: place / "cache"
    os.environ["NO_PROXY"] = "127.0.0.1"
    place.mkdir(parents=True, exist_ok=True)
    kept = place / "cache" / "kept.txt"

    def get() -> Path:
        return download.download(server.address, SHA256, "kept.txt")

    def is_whole() -> bool:
        return get().read_bytes() == CONTENT and names(kept.parent) == ["kept.txt"]

    download.CHUNK_BYTES = 500
    with serving() as server:
        server.stalls = 0.01
        for number in range(kills):
            if number % 3 == 0:
                kept.unlink(missing_ok=True)
            finish(start(get, place / "output.txt"), within=dice.uniform(0.01, 0.2))
            half = kept.exists() and kept.read_bytes() != CONTENT
            campaign.note("a kill while a file is fetched", NEVER_HALF, not half, f"{kept} is half written")
        server.stalls = 0.0
        campaign.note("the call after those kills", "the file is whole and alone in the cache", is_whole())
        for size in (1000, 4000, 8000):
            kept.unlink()
            server.breaks_off = size
            campaign.note("a server that breaks off", "what is missing is fetched, and nothing twice", is_whole())
        server.breaks_off, download.TIMEOUT = None, 0.1
        kept.unlink()
        server.stalls = 0.3
        campaign.note("a server that stalls", "what came is kept, and the rest fetched", is_whole())
        server.stalls = 0.0
        for content in (CONTENT[:-1] + b"?", CONTENT[:-1], CONTENT + b"?", b""):
            kept.unlink(missing_ok=True)
            server.content = content
            held = refused(get, "another checksum") and not kept.exists() and not names(kept.parent)
            campaign.note("a server with other bytes", "one sentence, and nothing of them is kept", held)
        server.content = CONTENT
        server.stalls = 0.02
        server.asked.clear()
        kept.unlink(missing_ok=True)
        other = start(get, place / "output.txt")
        while not server.asked:
            time.sleep(0.005)
        held = refused(get, "Another process is downloading kept.txt") and finish(other) == 0 and is_whole()
        campaign.note(
            "two processes that fetch the same file", "the second one is told, the first one's is whole", held
        )
