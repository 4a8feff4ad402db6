"""How often `check_run` names the right cause: the clinic's runs, broken on purpose; the record goes to results/.

    python -m experiments.check_run --corpus tinyshakespeare --seeds 4 5 6

The records are stripped of the learning rate that was really used, so that only the curves can speak.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

import minigpt.training.trainer
from minigpt import (
    GPT,
    CharTokenizer,
    GPTConfig,
    Split,
    StepMetrics,
    TrainConfig,
    Trainer,
    asset_path,
    get_batch,
    load_corpus,
    split_text,
)
from minigpt.model.attention import CausalSelfAttention
from minigpt.notebook import check_run
from minigpt.notebook.check_run.reference import ReferenceBand, read_reference_band
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "check-run.json"
SHORT = 1000  # characters of the training part that is too small


def attend_everywhere(q, k, v):
    """Attention without a causal mask."""
    return F.scaled_dot_product_attention(q, k, v), None


def leaking_attention(config: GPTConfig) -> CausalSelfAttention:
    """Return an attention layer that sees the future."""
    return CausalSelfAttention(config.n_embd, config.n_head, config.bias, config.dropout, attend_everywhere)


def unshifted_batch(*arguments):
    """Return a batch whose targets are its inputs."""
    inputs, _ = get_batch(*arguments)
    return inputs, inputs


def train(
    seed: int,
    envelope: ReferenceBand,
    data: Split,
    factories: dict | None = None,
    batch: Callable = get_batch,
    dropout_in_evaluation: bool = False,
    short: bool = False,
    **changes,
) -> list[StepMetrics]:
    """Train the clinic's setting with one thing broken; return the records without their learning rates."""
    settings = TrainConfig.from_dict(envelope.training).replace(seed=seed, **changes)
    torch.manual_seed(seed)
    model = GPT(GPTConfig.from_dict(envelope.model), **(factories or {}))
    if dropout_in_evaluation:
        model.eval = model.train
    minigpt.training.trainer.get_batch = batch
    try:
        part = Split(data.train[:SHORT], data.validation) if short else data
        records = list(Trainer(model, part, settings, device="cpu").run())
    finally:
        minigpt.training.trainer.get_batch = get_batch
    rates = dict(zip(envelope.steps, envelope.bands["learning_rate"].mean, strict=True))
    return [replace(one, learning_rate=rates[min(e for e in rates if e >= one.step)]) for one in records]


FAULTS: dict[str, Callable] = {
    "normal": train,
    "the learning rate is too high": partial(train, learning_rate=0.05),
    "the learning rate is too low": partial(train, learning_rate=0.0005),
    "the causal mask is missing": partial(train, factories={"attention": leaking_attention}),
    "the targets are not shifted": partial(train, batch=unshifted_batch),
    "the evaluation runs with dropout on": partial(train, dropout_in_evaluation=True),
    "the batch is too small": partial(train, batch_size=2),
    "there is too little text, and it is learnt by heart": partial(train, short=True),
}


def main() -> None:
    """Train every fault with every seed, and write which cause was named first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="tinyshakespeare")
    parser.add_argument("--seeds", type=int, nargs="+", default=[4, 5, 6])
    arguments = parser.parse_args()
    text = load_corpus(arguments.corpus).text
    data = split_text(text, CharTokenizer.from_text(text))
    envelope = read_reference_band(asset_path(f"results/reference_bands/clinic-{arguments.corpus}.json"))
    named: dict[str, list[str]] = {}
    for fault, broken in FAULTS.items():
        named[fault] = []
        for seed in arguments.seeds:
            checkup = check_run(broken(seed, envelope, data), envelope=envelope)
            named[fault].append("normal" if checkup.normal else next((c.name for c in checkup.causes), "no cause"))
        print(f"{fault}: {named[fault]}", flush=True)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record[arguments.corpus] = {"machine": environment_info(), "seeds": arguments.seeds, "named_first": named}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
