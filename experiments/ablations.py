"""What each part of a modern GPT buys a small model: one change at a time, three seeds, the same budget.

python -m experiments.ablations
python -m experiments.ablations --variants baseline rope --seeds 1

A baseline of nanoGPT's shape and each variant of it read Tiny Shakespeare by characters, with the same windows in the
same order for the same seed. `results/ablations/NAME-SEED.jsonl` is the log of a run, and
`results/ablations/summary.json` holds what came out. Both are written after each run, and a
second call goes on where the first was stopped. At the end, all variants take steps in turn, so that a busy moment
of the machine slows each of them down.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from minigpt import GPT, GPTConfig, Split, TrainConfig, Trainer, count_parameters, cross_entropy, evaluate, load_corpus
from minigpt.checkpoint.run_log import RunLog, StepMetrics, write_run
from minigpt.data.batches import get_batch, split_text
from minigpt.tokenizer.char import CharTokenizer
from minigpt.training.optim import make_optimizer
from minigpt.utils.machine import environment_info

FOLDER = Path(__file__).parent.parent / "results" / "ablations"
MODEL = {"block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128}
TRAINING = TrainConfig(max_steps=1500, batch_size=12, eval_every=50, eval_sequences=64)
VARIANTS = {  # name: changes to the model, and changes to the training
    "baseline": ({}, {}),
    "rope": ({"position": "rope"}, {}),
    "rmsnorm": ({"norm": "rmsnorm"}, {}),
    "qk-norm": ({"qk_norm": True}, {}),
    "swiglu": ({"mlp": "swiglu"}, {}),
    "relu2": ({"mlp": "relu2"}, {}),
    "gqa": ({"n_kv_head": 2}, {}),
    "tied-head": ({"tie_weights": True}, {}),
    "dropout": ({"dropout": 0.1}, {}),
    "muon": ({}, {"optimizer": "muon"}),
    "together": (
        {"position": "rope", "norm": "rmsnorm", "qk_norm": True, "mlp": "relu2"},
        {"optimizer": "muon"},
    ),
}
TARGET = 2.1  # nats per character, for the number of steps until the validation loss is that low
KEPT_EVERY = 25  # steps, in the logs
ROUNDS, STEPS_A_ROUND = 8, 6  # of the timing


def build(name: str, vocab_size: int, training: TrainConfig) -> tuple[GPT, TrainConfig]:
    """Return the model of a variant, drawn with the seed, and its training."""
    changes, training_changes = VARIANTS[name]
    torch.manual_seed(training.seed)
    return GPT(GPTConfig(vocab_size=vocab_size, **MODEL, **changes)), training.replace(**training_changes)


def train(
    name: str, data: Split, vocab_size: int, training: TrainConfig, header: dict[str, Any]
) -> tuple[RunLog, float]:
    """Train one variant; return its log, thinned out, and its loss over the whole validation part."""
    model, training = build(name, vocab_size, training)
    records = list(Trainer(model, data, training, device="cpu").run())
    header = header | {"variant": name, "model": model.config.to_dict(), "training": training.to_dict()}
    kept = [one for one in records if one.step % KEPT_EVERY == 0 or one.validation_loss is not None]
    return RunLog(header, kept), evaluate(model, data.validation, model.config.block_size).loss


def steps_to(target: float, evaluations: list[StepMetrics]) -> float | None:
    """Return after how many steps the validation loss has fallen to the target, between two evaluations on a line."""
    for before, after in zip(evaluations, evaluations[1:], strict=False):
        high, low = before.validation_loss, after.validation_loss
        if low <= target < high:
            return round(before.step + (after.step - before.step) * (high - target) / (high - low), 1)
    return None


def memory_mb(name: str, data: Split, vocab_size: int, training: TrainConfig) -> dict[str, float]:
    """Return what a training step holds where its backward pass begins, in MB, counted from the tensors themselves."""
    model, training = build(name, vocab_size, training)
    optimizer = make_optimizer(model, training)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs, targets = get_batch(data.train, training.batch_size, model.config.block_size, torch.Generator())
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    held = {
        "weights": sum(parameter.nbytes for parameter in model.parameters()),
        "optimizer": sum(state.nbytes for state in states),
        "activations": sum(kept.values()),
    }
    return {part: round(n_bytes / 1e6, 3) for part, n_bytes in held.items()}


def milliseconds_a_step(data: Split, vocab_size: int, training: TrainConfig) -> dict[str, float]:
    """Return the median time of a training step of every variant, all of them taking a few steps in turn."""
    runs = {}
    for name in VARIANTS:
        model, settings = build(name, vocab_size, training)
        runs[name] = Trainer(model, data, settings.replace(eval_every=10**6), device="cpu").run()
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for round_number in range(ROUNDS + 1):
        for name, run in runs.items():
            speeds = [next(run).tokens_per_second for _ in range(STEPS_A_ROUND)]
            if round_number > 0:  # the first round warms up
                times[name] += [1000 * training.batch_size * MODEL["block_size"] / speed for speed in speeds]
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def spread(values: list[float]) -> dict[str, float]:
    """Return the mean and the standard deviation of a few runs."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 4), "deviation": round(deviation, 4)}


def summarise(entry: dict[str, Any]) -> None:
    """Put the means over the seeds into a variant's entry; a run that never came to the target counts for nothing."""
    runs = list(entry["runs"].values())
    entry["validation_loss"] = spread([run["validation_loss"] for run in runs])
    arrived = [run["steps_to_target"] for run in runs if run["steps_to_target"] is not None]
    entry["steps_to_target"] = spread(arrived) if len(arrived) == len(runs) else None


def main() -> None:
    """Train every variant with the first seed, then with the next; at the end, time all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=TRAINING.max_steps)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpus = load_corpus("tinyshakespeare")
    tokenizer = CharTokenizer.from_text(corpus.text)
    data = split_text(corpus.text, tokenizer)
    training = TRAINING.replace(max_steps=arguments.steps)
    about = {"machine": environment_info(), "corpus": {"name": corpus.name, "sha256": corpus.sha256}}
    path = arguments.out / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"variants": {}}
    summary |= about | {"model": MODEL, "training": training.to_dict(), "target_loss": TARGET, "threads": 1}

    def save() -> None:
        path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")

    for seed in arguments.seeds:
        for name in arguments.variants:
            entry = summary["variants"].setdefault(name, {"runs": {}})
            log = arguments.out / f"{name}-{seed}.jsonl"
            if str(seed) in entry["runs"] and log.exists():
                continue
            run, loss = train(name, data, tokenizer.vocab_size, training.replace(seed=seed), about)
            write_run(log, run.header | {"kept_every": KEPT_EVERY, "whole_validation_loss": loss}, run.records)
            found = {"validation_loss": round(loss, 4), "steps_to_target": steps_to(TARGET, run.evaluations)}
            entry["runs"][str(seed)] = found
            entry["changes"] = dict(zip(("model", "training"), VARIANTS[name], strict=True))
            entry["parameters"] = count_parameters(build(name, tokenizer.vocab_size, training)[0])
            entry["memory_mb"] = memory_mb(name, data, tokenizer.vocab_size, training)
            summarise(entry)
            save()
            print(f"seed {seed}, {name}: {found}", flush=True)
    for name, time in milliseconds_a_step(data, tokenizer.vocab_size, training).items():
        summary["variants"].setdefault(name, {"runs": {}})["milliseconds_a_step"] = time
    save()


if __name__ == "__main__":
    main()
