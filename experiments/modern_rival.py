"""The shipped Tiny model's architecture beside a modern one of the same size, with AdamW and with Muon.

python -m experiments.modern_rival
python -m experiments.modern_rival --seeds 2

The rival has rotary positions, RMSNorm, QK-norm, ReLU² and no biases, and its hidden layer is as wide as Tiny's number
of parameters allows. All four runs read the same windows of Tiny Shakespeare in the same order, with the recipe of the
shipped model cut short and without dropout.
"""

from pathlib import Path

from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import TINY_MODEL, TINY_TRAINING, about_corpus, read_characters, train
from minigpt import GPT, GPTConfig, TrainConfig, count_parameters, evaluate, model_preset, training_preset

CORPUS = "tinyshakespeare"
TINY = model_preset("tiny-shakespeare", dropout=0.0)
MODERN = {"position": "rope", "norm": "rmsnorm", "qk_norm": True, "mlp": "relu2", "bias": False, "lm_head_bias": False}
RIVAL = TINY.replace(**MODERN, mlp_dim=800)
RUNS = {  # name: architecture and optimizer
    "Tiny, AdamW": (TINY, "adamw"),
    "rival, AdamW": (RIVAL, "adamw"),
    "rival, Muon": (RIVAL, "muon"),
    "Tiny, Muon": (TINY, "muon"),
}
SETTINGS = training_preset("tiny-shakespeare", warmup_steps=30, eval_every=25, eval_sequences=48, sample_every=0)


def model_of(name: str, tiny: bool) -> GPTConfig:
    """Return the architecture of a run."""
    return RUNS[name][0].replace(**{**TINY_MODEL, "mlp_dim": 32} if tiny else {})


def training_of(settings: Settings) -> TrainConfig:
    """Return how every model is trained, but for its seed and its optimizer."""
    smaller = {**TINY_TRAINING, "eval_every": 2} if settings["tiny"] else {}
    return SETTINGS.replace(max_steps=settings["steps"], **smaller)


def run(settings: Settings, folder: Path) -> Result:
    """Train one model, and return what the record keeps of it: losses in nats per character, time in seconds."""
    tokenizer, data = read_characters(CORPUS, settings["tiny"])
    config = model_of(settings["model"], settings["tiny"])
    training = training_of(settings).replace(seed=settings["seed"], optimizer=RUNS[settings["model"]][1])
    model, records = train(folder, config, training, data, tokenizer)
    steps = [training.batch_size * config.block_size / each.tokens_per_second for each in records]
    return {
        "curve": [
            [each.step, round(each.validation_loss, 4), round(sum(steps[: each.step]), 2)]
            for each in records
            if each.validation_loss is not None
        ],
        "training_loss": [round(each.loss, 4) for each in records],
        "whole_validation_loss": round(evaluate(model, data.validation, config.block_size).loss, 4),
        "seconds": round(sum(steps), 1),
    }


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    configs = {name: (model_of(name, settings["tiny"]), optimizer) for name, (_, optimizer) in RUNS.items()}
    return {
        "note": "`curve` holds steps, validation losses over the watched windows, and seconds of training without "
        "evaluations; all losses are in nats per character",
        "settings": training_of(settings).to_dict() | {"seed": "see each run", "optimizer": "see each run"},
        "corpus": about_corpus(CORPUS, settings["tiny"]),
        "threads": 1,
        "models": {
            name: {"config": config.to_dict(), "optimizer": optimizer, "parameters": count_parameters(GPT(config))}
            for name, (config, optimizer) in configs.items()
        },
    }


EXPERIMENT = Experiment(
    record="modern-rival.json",
    varied=grid(model=RUNS),
    seeds=(1337,),
    flags={"steps": 300},
    tiny={"steps": 3},
    run=run,
    about=about,
    place=("runs", "{model}", "{seed}"),
    metrics={"whole_validation_loss": lambda run: run["whole_validation_loss"], "seconds": lambda run: run["seconds"]},
    baseline={"model": "Tiny, AdamW"},
)

if __name__ == "__main__":
    main(EXPERIMENT)
