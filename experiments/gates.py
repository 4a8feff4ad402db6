"""Eight MLPs with the same number of parameters in the same model; the record goes to results/.

Three widen, bend and come back; five have a gate, with two thirds of the hidden width. Every one is trained for the
same steps on the same windows with several seeds; the record is written after each run, and a second call goes on
where the first was stopped.

python -m experiments.gates
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt import GPT, GPTConfig, SwiGLU, TrainConfig, Trainer, count_parameters, evaluate, load_corpus, split_text
from minigpt.data.batches import Split
from minigpt.tokenizer.char import CharTokenizer
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "gates.json"
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


def settings(steps: int, seed: int) -> TrainConfig:
    """Return how every model is trained."""
    return TrainConfig(
        max_steps=steps,
        batch_size=16,
        learning_rate=3e-3,
        min_learning_rate=3e-4,
        warmup_steps=max(1, steps // 20),
        eval_every=max(1, steps // 5),
        eval_sequences=64,
        seed=seed,
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


def train(kind: str, config: GPTConfig, data: Split, training: TrainConfig) -> dict:
    """Train one model; return its curve, final loss, share of zeros and size."""
    layer, wide, bend = KINDS[kind]
    torch.manual_seed(training.seed)
    model = GPT(config, mlp=lambda config: layer(config.n_embd, round(wide * config.n_embd), bend))
    curve: list[tuple[int, float]] = []
    for record in Trainer(model, data, training, device="cpu").run():
        if record.validation_loss is not None:
            curve.append((record.step, round(record.validation_loss, 4)))
    return {
        "curve": curve,
        "final": round(evaluate(model, data.validation, config.block_size, max_windows=500).loss, 4),
        "zeros": round(share_of_zeros(model, data), 4),
        "parameters": count_parameters(model),
    }


def main() -> None:
    """Train every kind with one seed, then with the next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    corpus = load_corpus("shakespeare-plays")
    tokenizer = CharTokenizer.from_text(corpus.text)
    data = split_text(corpus.text, tokenizer)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, **SIZES)
    record = {
        "note": "runs by kind of MLP and seed; validation loss in nats per character, `final` over 500 windows; "
        "`zeros` is the share of hidden numbers that are exactly 0",
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "settings": settings(arguments.steps, 0).to_dict() | {"seed": "see each run"},
        "model": config.to_dict(),
        "machine": environment_info(),
        "runs": {kind: {} for kind in KINDS},
    }
    if arguments.out.exists():
        record["runs"] = json.loads(arguments.out.read_text("utf-8"))["runs"]
    for seed in arguments.seeds:
        for kind in KINDS:
            if str(seed) in record["runs"][kind]:
                continue
            record["runs"][kind][str(seed)] = run = train(kind, config, data, settings(arguments.steps, seed))
            arguments.out.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"seed {seed}, {kind}: {run['final']}, zeros {run['zeros']:.0%}", flush=True)


if __name__ == "__main__":
    main()
