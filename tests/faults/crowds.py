"""Several processes at one folder: all that is read is whole, whoever wrote it."""

import os
import signal
import time
from pathlib import Path

from minigpt import Trainer, UserError, checkpoint
from tests.faults.damage import DATA, SETTINGS, TOKENIZER, model
from tests.faults.processes import finish, start
from tests.faults.record import Campaign
from tests.faults.sameness import fingerprint


def save_again_and_again(folder: Path, seed: int, seconds: float) -> None:
    """Save one model until the time is up."""
    saved, until = model(seed, n_layer=1 + seed), time.monotonic() + seconds
    while time.monotonic() < until:
        checkpoint.save(folder, saved, TOKENIZER)
        time.sleep(0.02)  # so that there is a moment to read it


def crowd(campaign: Campaign, place: Path, seconds: float) -> None:
    """Let two processes save to the same folder while this one reads it."""
    folder = place / "saved"
    place.mkdir(parents=True, exist_ok=True)
    checkpoint.save(folder, model(1, n_layer=2), TOKENIZER)
    known = {fingerprint(model(seed, n_layer=1 + seed).state_dict()) for seed in (1, 2)}
    outputs = [place / f"output{seed}.txt" for seed in (1, 2)]
    savers = [
        start(lambda seed=seed: save_again_and_again(folder, seed, seconds), output)
        for seed, output in zip((1, 2), outputs, strict=True)
    ]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            found = fingerprint(checkpoint.load(folder).model.state_dict())
            held, said = found in known, "a mixture"
        except UserError as error:
            held, said = "replaced again and again" in str(error), str(error)
        except Exception as error:
            held, said = False, repr(error)
        campaign.note("a look while two processes save", "the model of one of them, whole", held, said)
    for saver, output in zip(savers, outputs, strict=True):
        held = finish(saver) == 0
        campaign.note(
            "two processes that save to one folder", "they take turns", held, output.read_text("utf-8")[-500:]
        )
    whole = fingerprint(checkpoint.load(folder).model.state_dict()) in known
    campaign.note(
        "two processes that save to one folder",
        "the model of one of them is left, alone",
        whole and [path.name for path in place.iterdir() if not path.name.startswith("output")] == ["saved"],
    )


def train_slowly(folder: Path, seconds: float) -> None:
    """Train, and save after every step, until the time is up."""
    settings = SETTINGS.replace(max_steps=1_000_000, eval_every=3, save_every=1, sample_every=0)
    trainer = Trainer(model(), DATA, settings, tokenizer=TOKENIZER, folder=folder, device="cpu")
    until = time.monotonic() + seconds
    for _ in trainer.run():
        if time.monotonic() > until:
            break


def watched_training(campaign: Campaign, place: Path, seconds: float) -> None:
    """Read `last` and `best` in a loop while another process trains and saves after every step."""
    place.mkdir(parents=True, exist_ok=True)
    folder, output = place / "run", place / "output.txt"
    trainer = start(lambda: train_slowly(folder, seconds), output)
    until, seen = time.monotonic() + 0.8 * seconds, set()
    while not (folder / "best").exists() and time.monotonic() < until:
        time.sleep(0.01)
    while time.monotonic() < until:
        for name in ("last", "best"):
            try:
                seen.add(fingerprint(checkpoint.load(folder / name).model.state_dict()))
                held, said = True, ""
            except Exception as error:
                held, said = False, repr(error)
            campaign.note("a look while a training saves every step", "one checkpoint, whole", held, said)
    held = finish(trainer) == 0
    campaign.note("a training that is watched", "it goes on", held, output.read_text("utf-8")[-500:])
    campaign.note("a training that is watched", "more than one checkpoint was seen", len(seen) > 1, f"{len(seen)}")


def second_trainer(campaign: Campaign, place: Path) -> None:
    """Begin, or go on with, a run that another process is training."""

    def hold() -> None:
        trainer = Trainer(model(), DATA, SETTINGS, tokenizer=TOKENIZER, folder=place / "run", device="cpu")
        run = trainer.run()  # which holds the folder as long as it is there
        next(run)
        (place / "ready").touch()
        signal.pause()

    place.mkdir(parents=True, exist_ok=True)
    other = start(hold, place / "output.txt")
    while not (place / "ready").exists():
        time.sleep(0.01)
    before = (place / "run" / "log.jsonl").read_bytes()
    ways = {
        "a second process that begins the run": lambda: next(
            Trainer(model(), DATA, SETTINGS, tokenizer=TOKENIZER, folder=place / "run", device="cpu").run()
        ),
        "a second process that goes on with the run": lambda: Trainer.resume(place / "run", DATA, device="cpu"),
    }
    for fault, way in ways.items():
        try:
            way()
            said = "nothing"
        except UserError as error:
            said = str(error)
        held = "is locked by another process" in said and (place / "run" / "log.jsonl").read_bytes() == before
        campaign.note(fault, "one sentence, and the first one's files are left alone", held, said)
    os.kill(other, signal.SIGKILL)
    finish(other)
