"""The preset `tiny-modern` with several rates of dropout and seeds, each run at full length.

python -m experiments.tiny_modern --dropout 0.2 --seeds 1 --jobs 1

The best checkpoint of each run is kept in `runs/tiny-modern`.
"""

import shutil
from pathlib import Path

from experiments.common import ROOT, Experiment, Result, Settings, grid, main, run_id
from experiments.training import TINY_MODEL, TINY_TRAINING, about_corpus, begin, read_characters
from minigpt import GPTConfig, TrainConfig, count_parameters, evaluate, model_preset, training_preset
from minigpt.checkpoint import find_checkpoint, load
from minigpt.training.progress import progress_bar

CORPUS, PRESET = "tinyshakespeare", "tiny-modern"
KEPT = ROOT / "runs" / PRESET
DECAY = 0.6  # the share of the steps at the end in which the learning rate falls


def model_of(settings: Settings) -> GPTConfig:
    """Return the model of a run."""
    tokenizer, _ = read_characters(CORPUS, settings["tiny"])
    sizes = TINY_MODEL if settings["tiny"] else {}
    return model_preset(PRESET, vocab_size=tokenizer.vocab_size, dropout=settings.get("dropout", 0.0), **sizes)


def training_of(settings: Settings) -> TrainConfig:
    """Return how the model of a run is trained."""
    steps = settings["steps"]
    changes = {"max_steps": steps, "decay_steps": round(DECAY * steps), "seed": settings.get("seed", 0)}
    return training_preset(PRESET, **changes | (TINY_TRAINING if settings["tiny"] else {}))


def run(settings: Settings, folder: Path) -> Result:
    """Train one model, or go on with it; return the losses of its last and its best checkpoint over the whole split."""
    tokenizer, data = read_characters(CORPUS, settings["tiny"])
    config = model_of(settings)
    trainer = begin(folder, config, training_of(settings), data, tokenizer)
    for _ in progress_bar(trainer.run(), trainer.config.max_steps, start=trainer.step):
        pass
    models = {name: load(folder / name).model for name in ("last", "best")}
    losses = {name: evaluate(model, data.validation, config.block_size).loss for name, model in models.items()}
    return {name: round(loss, 4) for name, loss in losses.items()} | {
        "seconds": round(trainer.seconds, 1),
        "parameters": count_parameters(trainer.model),
    }


def keep(settings: Settings, folder: Path, record: Path) -> None:
    """Put the best checkpoint of a run aside, before its folder goes."""
    if not settings["tiny"]:
        shutil.copytree(find_checkpoint(folder), KEPT / run_id(settings), dirs_exist_ok=True)


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    return {
        "note": "runs by dropout and seed; `last` and `best` in nats per character over the whole validation part",
        "corpus": about_corpus(CORPUS, settings["tiny"]),
        "model": model_of(settings).to_dict() | {"dropout": "see each run"},
        "training": training_of(settings).to_dict() | {"seed": "see each run"},
    }


EXPERIMENT = Experiment(
    record="tiny-modern.json",
    varied=grid(dropout=(0.2, 0.3)),
    seeds=(1, 2, 3),
    flags={"steps": 2700},
    tiny={"steps": 20},
    run=run,
    about=about,
    place=("runs", "{dropout}", "{seed}"),
    metrics={"last": lambda run: run["last"], "best": lambda run: run["best"]},
    baseline={"dropout": 0.2},
    keep=keep,
)

if __name__ == "__main__":
    main(EXPERIMENT)
