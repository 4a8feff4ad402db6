"""Eight MLPs with the same number of parameters in the same model; the record goes to results/.

Three widen, bend and come back; five have a gate, with two thirds of the hidden width. Every one is trained for the
same steps on the same windows with several seeds.

python -m experiments.gates
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import TINY_MODEL, TINY_TRAINING, about_corpus, curve, read_characters, train
from minigpt import GPT, GPTConfig, SwiGLU, TrainConfig, count_parameters, evaluate
from minigpt.data.batches import Split

CORPUS = "shakespeare-plays"
SIZES = {"block_size": 64, "n_layer": 2, "n_head": 3, "n_embd": 66, "norm": "rmsnorm", "bias": False}
Bend = Callable[[Tensor], Tensor]


class Plain(nn.Module):
    """An MLP that widens, bends and comes back."""

    def __init__(self, width: int, hidden: int, bend: Bend) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.bend = bend

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return self.down(self.bend(self.up(x)))


class Gated(SwiGLU):
    """SwiGLU with another function in place of SiLU."""

    def __init__(self, width: int, hidden: int, bend: Bend) -> None:
        super().__init__(width, hidden, bias=False)
        self.bend = bend

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        return self.down(self.bend(self.gate(x)) * self.up(x))


KINDS = {  # what stands between the matrices, and how many times the width the hidden layer has
    "ReLU": (Plain, 4, F.relu),
    "GELU": (Plain, 4, F.gelu),
    "ReLU²": (Plain, 4, lambda x: F.relu(x).square()),
    "bilinear": (Gated, 8 / 3, lambda x: x),
    "GLU": (Gated, 8 / 3, torch.sigmoid),
    "ReGLU": (Gated, 8 / 3, F.relu),
    "GEGLU": (Gated, 8 / 3, F.gelu),
    "SwiGLU": (Gated, 8 / 3, F.silu),
}


def model_of(tiny: bool) -> GPTConfig:
    """Return the model that every kind stands in."""
    tokenizer, _ = read_characters(CORPUS, tiny)
    return GPTConfig(vocab_size=tokenizer.vocab_size, **SIZES | (TINY_MODEL if tiny else {}))


def training_of(settings: Settings) -> TrainConfig:
    """Return how every model is trained."""
    steps = settings["steps"]
    usual = {"batch_size": 16, "warmup_steps": max(1, steps // 20), "eval_sequences": 64}
    return TrainConfig(
        max_steps=steps,
        learning_rate=3e-3,
        min_learning_rate=3e-4,
        eval_every=max(1, steps // 5),
        seed=settings.get("seed", 0),
        **usual | (TINY_TRAINING if settings["tiny"] else {}),
    )


@torch.no_grad()
def share_of_zeros(model: GPT, data: Split) -> float:
    """Return the share of hidden numbers that are exactly 0, on a few windows of the validation part."""
    hidden: list[Tensor] = []
    length = model.config.block_size
    for block in model.blocks:
        block.mlp.down.register_forward_pre_hook(lambda layer, inputs: hidden.append(inputs[0]))
    model(torch.stack([data.validation[start : start + length] for start in range(0, 8 * length, length)]).long())
    return (torch.stack(hidden) == 0).float().mean().item()


def run(settings: Settings, folder: Path) -> Result:
    """Train one model; return its curve, final loss, share of zeros and size."""
    tokenizer, data = read_characters(CORPUS, settings["tiny"])
    config = model_of(settings["tiny"])
    layer, wide, bend = KINDS[settings["kind"]]
    model, records = train(
        folder,
        config,
        training_of(settings),
        data,
        tokenizer,
        mlp=lambda config: layer(config.n_embd, round(wide * config.n_embd), bend),
    )
    return {
        "curve": curve(records),
        "final": round(evaluate(model, data.validation, config.block_size, max_windows=500).loss, 4),
        "zeros": round(share_of_zeros(model, data), 4),
        "parameters": count_parameters(model),
    }


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    return {
        "note": "runs by kind of MLP and seed; validation loss in nats per character, `final` over 500 windows; "
        "`zeros` is the share of hidden numbers that are exactly 0",
        "corpus": about_corpus(CORPUS, settings["tiny"]),
        "settings": training_of(settings).to_dict() | {"seed": "see each run"},
        "model": model_of(settings["tiny"]).to_dict(),
    }


EXPERIMENT = Experiment(
    record="gates.json",
    varied=grid(kind=KINDS),
    seeds=(1, 2, 3),
    flags={"steps": 300},
    tiny={"steps": 20},
    run=run,
    about=about,
    place=("runs", "{kind}", "{seed}"),
    metrics={"final": lambda run: run["final"], "zeros": lambda run: run["zeros"]},
    baseline={"kind": "GELU"},
)

if __name__ == "__main__":
    main(EXPERIMENT)
