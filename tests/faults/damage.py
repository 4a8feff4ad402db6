"""Files that are cut short, altered, lost or mixed up: what is read of them is what was written, or nothing."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from minigpt import (
    GPT,
    CharTokenizer,
    GPTConfig,
    TrainConfig,
    Trainer,
    UserError,
    checkpoint,
    prepare_shards,
    split_text,
)
from minigpt.checkpoint import find_checkpoint
from minigpt.data.documents import TextSource, split_documents
from minigpt.data.shards import check_shards
from minigpt.utils.files import CHECKSUM_FILE as CHECKSUMS
from tests.faults.record import Campaign
from tests.faults.sameness import fingerprint

TEXT = "a small model reads a small text\nagain and again, until it can tell what comes next.\n" * 20
TOKENIZER = CharTokenizer.from_text(TEXT)
DATA = split_text(TEXT, TOKENIZER, val_fraction=0.2)
SETTINGS = TrainConfig(max_steps=4, batch_size=4, eval_every=2, eval_sequences=4, save_every=2, warmup_steps=1)
REFUSED = "one sentence that names the file"
UNCHANGED = "one sentence that names the file, or what was saved, unchanged"


def model(seed: int = 0, **changes) -> GPT:
    """Return a small model."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": TOKENIZER.vocab_size, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}
    return GPT(GPTConfig(**(sizes | changes)))


def train_into(folder: Path, **changes) -> None:
    """Leave a training run of four steps."""
    list(Trainer(model(**changes), DATA, SETTINGS, tokenizer=TOKENIZER, folder=folder, device="cpu").run())


def read_run(folder: Path) -> str:
    """Read all that a run has left, as a command that goes on with it does, and return a checksum of it."""
    best = checkpoint.load(folder)
    trainer = Trainer.resume(folder, DATA, device="cpu", changes={"max_steps": 9})
    parts = [best.model.state_dict(), best.tokenizer.to_dict(), best.model.config.to_dict()]
    return fingerprint([*parts, trainer.model.state_dict(), trainer.optimizer.state_dict(), trainer.step])


def read_shards(folder: Path) -> str:
    """Read a folder of shards, as a command that trains on it does, and return a checksum of it."""
    prepared = check_shards(folder)
    return fingerprint([prepared.split.train[:], prepared.split.validation[:], prepared.tokenizer.to_dict()])


def result(action: Callable[[], str], folder: Path) -> str:
    """Return what an action returns; `refused` for a sentence that names the folder; otherwise what went wrong."""
    try:
        return action()
    except UserError as error:
        said = str(error)
        return "refused" if str(folder) in said and "\n" not in said and said.endswith(".") else f"it says: {said}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def cuts(whole: bytes) -> Iterator[bytes]:
    """Yield a file's content cut at every kilobyte, and just before its end."""
    for length in sorted({*range(0, len(whole), 1024), len(whole) - 2, len(whole) - 1} - {-1, -2}):
        yield whole[:length]


def flips(whole: bytes, dice: random.Random, count: int) -> Iterator[bytes]:
    """Yield a file's content with one bit turned over, at so many random places."""
    for bit in dice.sample(range(8 * len(whole)), min(count, 8 * len(whole))):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


def damage_files(
    campaign: Campaign, what: str, folder: Path, read: Callable[[Path], str], dice: random.Random, bits: int
) -> None:
    """Damage each file of a folder in each way, and read it."""
    copy = folder.with_name("damaged")

    def fresh() -> Path:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        return copy

    expected = read(fresh())
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    for file in files:
        whole = (folder / file).read_bytes()
        ways = {"a file cut at a kilobyte": cuts(whole), "a bit turned over": flips(whole, dice, bits)}
        for fault, contents in ways.items():
            for content in contents:
                (fresh() / file).write_bytes(content)
                found = result(lambda: read(copy), copy)
                where = f"{file} of {len(content)} bytes, {found[:300]}:"
                campaign.note(f"{what}: {fault}", UNCHANGED, found in ("refused", expected), where)
        (fresh() / file).unlink()
        found = result(lambda: read(copy), copy)
        harmless = file.name in (CHECKSUMS, "SHA256SUMS") and found == expected
        if file.name == "best":  # as in a run that was never evaluated, `last` is the best there is
            (fresh() / file).write_bytes((folder / "last").read_bytes())
            harmless = found == read(copy)
            (copy / file).unlink()
        campaign.note(f"{what}: a missing file", UNCHANGED, found == "refused" or harmless, f"{file}, {found[:300]}:")
        (copy / file).mkdir()
        found = result(lambda: read(copy), copy)
        campaign.note(f"{what}: a folder in place of a file", UNCHANGED, found == "refused", f"{file}, {found[:300]}:")
    shutil.rmtree(copy)


def mix_up(campaign: Campaign, place: Path) -> None:
    """Give a run one file of another run, with and without the checksums."""
    train_into(place / "one")
    other = CharTokenizer(TOKENIZER.characters[::-1])
    others = {
        "another tokenizer of the same size": ("tokenizer.json", {}, other),
        "the configuration of another model": ("config.json", {"n_layer": 3}, TOKENIZER),
        "the weights of another model": ("model.safetensors", {"n_embd": 8}, TOKENIZER),
        "the trainer's state of another model": ("trainer.pt", {"n_embd": 8}, TOKENIZER),
        "the checksums of another model": (CHECKSUMS, {"n_embd": 8}, TOKENIZER),
    }
    for number, (fault, (file, changes, tokenizer)) in enumerate(others.items()):
        two = place / f"other{number}"
        trainer = Trainer(model(1, **changes), DATA, SETTINGS, tokenizer=tokenizer, folder=two, device="cpu")
        list(trainer.run())
        for checked in (True, False):
            if not checked and file in ("tokenizer.json", CHECKSUMS):
                continue  # without checksums nothing can tell
            copy = place / "mixed"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(place / "one", copy)
            for name in ("best", "last"):
                source, target = find_checkpoint(two / name), find_checkpoint(copy / name)
                shutil.copy(source / file, target / file)
                if not checked:
                    (target / CHECKSUMS).unlink(missing_ok=True)
            found = result(lambda copy=copy: read_run(copy), copy)
            how = fault if checked else f"{fault}, without checksums"
            campaign.note(f"a checkpoint: {how}", REFUSED, found == "refused", found[:300])


def damaged(campaign: Campaign, place: Path, dice: random.Random, bits: int) -> None:
    """Damage the files of a run and of a folder of shards."""
    train_into(place / "run")
    damage_files(campaign, "a run", place / "run", read_run, dice, bits)
    source = TextSource("text", TEXT)
    prepare_shards(split_documents([source], val_fraction=0.2), TOKENIZER, place / "shards", shard_tokens=500)
    damage_files(campaign, "shards", place / "shards", read_shards, dice, bits)
    mix_up(campaign, place / "mixing")
