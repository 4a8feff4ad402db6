"""One matrix or two: models with a tied and an untied head on the same text; the record goes to results/.

Three models read 2,048 subwords: tied, untied with the same width, and untied but narrower, so that it has about as
many parameters as the tied one. A call with another number of steps or other seeds adds to the record.

python -m experiments.tied_weights
python -m experiments.tied_weights --steps 800 --seeds 1
"""

from functools import cache
from pathlib import Path

from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import TINY_MODEL, TINY_TRAINING, about_corpus, curve, read_corpus, train
from minigpt import GPT, GPTConfig, Split, TrainConfig, count_parameters, evaluate, split_text
from minigpt.tokenizer.bpe import BPETokenizer

CORPUS = "shakespeare-plays"
SIZES = {"vocab_size": 2048, "block_size": 64, "n_layer": 2, "n_head": 4}
MODELS = {
    "tied": {"n_embd": 64, "tie_weights": True},
    "untied, same width": {"n_embd": 64},
    "untied, same size": {"n_embd": 44},
}


@cache
def read_subwords(tiny: bool) -> tuple[BPETokenizer, Split]:
    """Return the vocabulary and the text."""
    text = read_corpus(CORPUS, tiny).text
    tokenizer = BPETokenizer.train(text, model_of("tied", tiny).vocab_size, fast=True)
    return tokenizer, split_text(text, tokenizer)


def model_of(name: str, tiny: bool) -> GPTConfig:
    """Return one of the models."""
    return GPTConfig(**SIZES | ({**TINY_MODEL, "vocab_size": 300} if tiny else {}) | MODELS[name])


def training_of(settings: Settings) -> TrainConfig:
    """Return how every model is trained."""
    steps = settings["steps"]
    usual = {"batch_size": 16, "warmup_steps": max(1, steps // 20), "eval_sequences": 128}
    return TrainConfig(
        max_steps=steps,
        learning_rate=3e-3,
        min_learning_rate=3e-4,
        eval_every=max(1, steps // 12),
        seed=settings["seed"],
        **usual | (TINY_TRAINING if settings["tiny"] else {}),
    )


def run(settings: Settings, folder: Path) -> Result:
    """Train one model; return its curve and its final loss."""
    tokenizer, data = read_subwords(settings["tiny"])
    config = model_of(settings["model"], settings["tiny"])
    model, records = train(folder, config, training_of(settings), data, tokenizer)
    final = evaluate(model, data.validation, config.block_size).loss
    return {"curve": curve(records), "final": round(final, 4)}


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    tiny = settings["tiny"]
    _, data = read_subwords(tiny)
    configs = {name: model_of(name, tiny) for name in MODELS}
    usual = training_of({"steps": 400, "seed": 0, "tiny": tiny}).to_dict()
    return {
        "note": "runs by number of steps and by seed; validation loss in nats per token, `final` over the whole "
        "validation part; the settings are those of 400 steps, and warmup and evaluations follow the number of steps",
        "settings": usual | {"max_steps": "see each run", "seed": "see each run"},
        "models": {
            name: {"config": config.to_dict(), "parameters": count_parameters(GPT(config))}
            for name, config in configs.items()
        },
        "corpus": about_corpus(CORPUS, tiny) | {"training_tokens": len(data.train)},
    }


EXPERIMENT = Experiment(
    record="tied-or-untied.json",
    varied=grid(model=MODELS),
    seeds=(1, 2, 3),
    flags={"steps": 600},
    tiny={"steps": 20},
    run=run,
    about=about,
    place=("models", "{model}", "runs", "{steps}", "{seed}"),
    metrics={"final": lambda run: run["final"]},
    baseline={"model": "tied"},
)

if __name__ == "__main__":
    main(EXPERIMENT)
