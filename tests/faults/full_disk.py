"""Disks that are full, or can only be read: made of memory, mounted for the purpose, and taken away again."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from minigpt import Trainer, UserError, checkpoint, generate, prepare_shards
from minigpt.checkpoint.gpt2 import export_hf_gpt2
from minigpt.checkpoint.web import export_web
from minigpt.data.documents import TextSource, split_documents
from minigpt.data.shards import check_shards
from tests.faults.damage import DATA, SETTINGS, TEXT, TOKENIZER, model, result, train_into
from tests.faults.record import Campaign
from tests.faults.sameness import is_tidy, of_folder, of_run

ROOM_ENOUGH = "16m"
INTACT = "one sentence, and what was saved before loads"
EQUAL = "with room again, the run goes on and equals the one left alone, to the bit"
LONG = TextSource("long", TEXT * 12)


def can_mount(place: Path) -> bool:
    """Return whether this process may mount a disk."""
    if shutil.which("mount") is None:
        return False
    try:
        with disk(place / "trial", "64k"):
            return True
    except (subprocess.CalledProcessError, OSError):
        return False


@contextmanager
def disk(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mount an empty disk of this size; the function given mounts it again with other options."""
    place.mkdir(parents=True, exist_ok=True)

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        subprocess.run(command, check=True, capture_output=True)

    mount(f"size={size}")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, capture_output=True)


def train(folder: Path) -> None:
    """Begin a run, or go on with it, to its end."""
    if (folder / "log.jsonl").exists():
        trainer = Trainer.resume(folder, DATA, device="cpu")
    else:
        trainer = Trainer(model(), DATA, SETTINGS, tokenizer=TOKENIZER, folder=folder, device="cpu")
    list(trainer.run())


def fill(folder: Path) -> object:
    """Prepare shards, or go on with them."""
    chosen = split_documents([LONG], val_fraction=0.2)
    return prepare_shards(chosen, TOKENIZER, folder, shard_tokens=2000, progress_every=3000)


def full_disks(campaign: Campaign, place: Path, sizes: range) -> None:
    """Train and prepare on disks with room for so many kilobytes, make room, and go on."""
    train_into(place / "alone")
    fill(place / "alone-shards")
    expected, expected_shards = of_run(place / "alone"), of_folder(place / "alone-shards")
    room = place / "disk"
    for size in sizes:
        with disk(room, f"{size}k") as mount_again:
            run = room / "run"
            found = result(lambda run=run: train(run) or "done", room)
            if found == "done":
                break
            left = any((run / name).exists() for name in ("best", "last"))
            loads = not left or result(lambda run=run: str(bool(checkpoint.load(run))), run) == "True"
            campaign.note("a full disk during training", INTACT, found == "refused" and loads, f"{size} kB, {found}:")
            mount_again(f"size={ROOM_ENOUGH}")
            found = result(lambda run=run: train(run) or "done", room)
            names = sorted(path.name for path in run.iterdir())
            same = found == "done" and of_run(run) == expected and is_tidy(run)
            campaign.note("a full disk during training", EQUAL, same, f"{size} kB, {found}, {names}:")
    for size in sizes:
        with disk(room, f"{size}k") as mount_again:
            found = result(lambda: fill(room / "shards") and "done", room)
            if found == "done":
                break
            campaign.note("a full disk while shards are prepared", "one sentence", found == "refused", found)
            mount_again(f"size={ROOM_ENOUGH}")
            same = result(lambda: fill(room / "shards") and "done", room) == "done"
            same = same and of_folder(room / "shards") == expected_shards
            campaign.note("a full disk while shards are prepared", EQUAL.replace("run goes", "work goes"), same)


def full_for_one_file(campaign: Campaign, place: Path) -> None:
    """Write everything else that the package writes onto a disk with room for a few kilobytes, over an earlier one."""
    small = model(0, n_embd=8, bias=True)
    writers: dict[str, Callable[[Path], object]] = {
        "a checkpoint": lambda path: checkpoint.save(path, model(1, n_embd=64), TOKENIZER),
        "a model for the web": lambda path: export_web(model(1, n_embd=64), TOKENIZER, path),
        "a model for transformers": lambda path: export_hf_gpt2(model(1, n_embd=64), path),
    }
    for name, write in writers.items():
        with disk(place / "disk", "48k"):
            path = place / "disk" / "out"
            if name == "a checkpoint":
                checkpoint.save(path, small, TOKENIZER)
            before = of_folder(path) if path.exists() else None
            found = result(lambda write=write, path=path: str(write(path)), path.parent)
            intact = (of_folder(path) if path.exists() else None) == before
            alone = [each.name for each in path.parent.iterdir()] == (["out"] if before else [])
            campaign.note(f"a full disk under {name}", INTACT, found == "refused" and intact and alone, found)
    with disk(place / "disk", "8k"):
        path = place / "disk" / "tokenizer.json"
        TOKENIZER.save(path)
        before = path.read_bytes()
        (path.parent / "filler").write_bytes(bytes(4096))
        try:
            TOKENIZER.save(path)
            held = False
        except (UserError, OSError):  # which the command turns into a sentence
            held = path.read_bytes() == before and len(list(path.parent.iterdir())) == 2
        campaign.note("a full disk under a tokenizer", "the earlier file is intact, and nothing else left", held)


def read_only(campaign: Campaign, place: Path) -> None:
    """Read what stands on a disk that cannot be written, and try to write there."""
    with disk(place / "disk", ROOM_ENOUGH) as mount_again:
        run, shards = place / "disk" / "run", place / "disk" / "shards"
        train_into(run)
        fill(shards)
        before = of_run(run)
        mount_again("ro")
        reads: dict[str, Callable[[], object]] = {
            "a model": lambda: generate(*checkpoint.load(run), "a", max_new_tokens=3),
            "shards": lambda: check_shards(shards),
            "shards that are prepared already": lambda: fill(shards),
        }
        for name, read in reads.items():
            found = result(lambda read=read: f"done {read()}", place / "disk")
            campaign.note(f"a disk that can only be read: {name}", "read as anywhere", found.startswith("done"), found)
        writes: dict[str, Callable[[], object]] = {
            "a new run": lambda: train_into(place / "disk" / "other"),
            "a run that goes on": lambda: Trainer.resume(run, DATA, device="cpu"),
            "a checkpoint": lambda: checkpoint.save(run / "best", model(1), TOKENIZER),
            "new shards": lambda: fill(place / "disk" / "more"),
        }
        for name, write in writes.items():
            found = result(lambda write=write: f"done {write()}", place / "disk")
            held = found == "refused" and of_run(run) == before
            campaign.note(f"a disk that can only be read: {name}", "one sentence, and nothing is changed", held, found)
