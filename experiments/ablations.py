"""What each part of a modern GPT buys a small model: one change at a time, three seeds, the same budget.

python -m experiments.ablations
python -m experiments.ablations --variants baseline rope --seeds 1

A baseline of nanoGPT's shape and each variant of it read Tiny Shakespeare by characters, with the same windows in the
same order for the same seed. `results/ablations/NAME-SEED.jsonl` is the log of a run, and
`results/ablations/summary.json` holds what came out. At the end, all variants take steps in turn, so that a busy moment
of the machine slows each of them down.
"""

import statistics
from pathlib import Path

import torch

from experiments.common import Experiment, Result, Settings, grid, main, spread, write_record
from experiments.training import TINY_MODEL, TINY_TRAINING, about_corpus, read_characters, train
from minigpt import GPT, GPTConfig, Split, StepMetrics, TrainConfig, Trainer, count_parameters, cross_entropy, evaluate
from minigpt.checkpoint.run_log import RunLog, read_run, write_run
from minigpt.data.batches import get_batch
from minigpt.training.optim import make_optimizer
from minigpt.utils.files import read_json

CORPUS = "tinyshakespeare"
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


def configs(name: str, settings: Settings) -> tuple[GPTConfig, TrainConfig]:
    """Return the model of a variant, and its training."""
    tokenizer, _ = read_characters(CORPUS, settings["tiny"])
    changes, training_changes = VARIANTS[name]
    sizes = MODEL | (TINY_MODEL if settings["tiny"] else {})
    smaller = {**TINY_TRAINING, "eval_every": 1} if settings["tiny"] else {}
    training = TRAINING.replace(max_steps=settings["steps"], seed=settings["seed"], **smaller)
    return GPTConfig(vocab_size=tokenizer.vocab_size, **sizes, **changes), training.replace(**training_changes)


def run(settings: Settings, folder: Path) -> Result:
    """Train one variant; return its loss over the whole validation part, and its steps to the target."""
    tokenizer, data = read_characters(CORPUS, settings["tiny"])
    config, training = configs(settings["variant"], settings)
    model, records = train(folder, config, training, data, tokenizer)
    return {
        "validation_loss": round(evaluate(model, data.validation, config.block_size).loss, 4),
        "steps_to_target": steps_to(TARGET, RunLog({}, records).evaluations),
    }


def keep(settings: Settings, folder: Path, record: Path) -> None:
    """Keep the log of a run beside the record, thinned out."""
    name, tiny = settings["variant"], settings["tiny"]
    config, training = configs(name, settings)
    log, loss = read_run(folder / "log.jsonl"), read_json(folder / "result.json")["validation_loss"]
    header = {"machine": log.header["machine"], "corpus": about_corpus(CORPUS, tiny), "variant": name}
    header |= {"model": config.to_dict(), "training": training.to_dict(), "kept_every": KEPT_EVERY}
    kept = [one for one in log.records if one.step % KEPT_EVERY == 0 or one.validation_loss is not None]
    write_run(record.parent / f"{name}-{settings['seed']}.jsonl", header | {"whole_validation_loss": loss}, kept)


def steps_to(target: float, evaluations: list[StepMetrics]) -> float | None:
    """Return after how many steps the validation loss has fallen to the target, between two evaluations on a line."""
    for before, after in zip(evaluations, evaluations[1:], strict=False):
        high, low = before.validation_loss, after.validation_loss
        if low <= target < high:
            return round(before.step + (after.step - before.step) * (high - target) / (high - low), 1)
    return None


def memory_mb(config: GPTConfig, training: TrainConfig, data: Split) -> dict[str, float]:
    """Return what a training step holds where its backward pass begins, in MB, counted from the tensors themselves."""
    model = GPT(config)
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


def milliseconds_a_step(settings: Settings, data: Split) -> dict[str, float]:
    """Return the median time of a training step of every variant, all of them taking a few steps in turn."""
    rounds, steps_a_round = (1, 1) if settings["tiny"] else (ROUNDS, STEPS_A_ROUND)
    runs, tokens = {}, {}
    for name in VARIANTS:
        config, training = configs(name, settings)
        runs[name] = Trainer(GPT(config), data, training.replace(eval_every=10**6), device="cpu").run()
        tokens[name] = training.batch_size * config.block_size
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for round_number in range(rounds + 1):
        for name, trained in runs.items():
            speeds = [next(trained).tokens_per_second for _ in range(steps_a_round)]
            if round_number > 0:  # the first round warms up
                times[name] += [1000 * tokens[name] / speed for speed in speeds]
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def summarise(entry: Result) -> None:
    """Put the means over the seeds into a variant's entry; a run that never came to the target counts for nothing."""
    runs = list(entry["runs"].values())
    entry["validation_loss"] = spread([run["validation_loss"] for run in runs])
    arrived = [run["steps_to_target"] for run in runs if run["steps_to_target"] is not None]
    entry["steps_to_target"] = spread(arrived) if len(arrived) == len(runs) else None


def about(settings: Settings) -> Result:
    """Return what the record says about all runs, and about each variant."""
    settings = settings | {"seed": TRAINING.seed}
    return {
        "corpus": about_corpus(CORPUS, settings["tiny"]),
        "model": MODEL,
        "training": configs("baseline", settings)[1].to_dict(),
        "target_loss": TARGET,
        "threads": 1,
        "variants": {
            name: {
                "runs": {},
                "changes": {"model": changes, "training": training_changes},
                "parameters": count_parameters(GPT(configs(name, settings)[0])),
            }
            for name, (changes, training_changes) in VARIANTS.items()
        },
    }


def finish(record: Result, settings: Settings) -> None:
    """Put the means over the seeds into the entries of the variants that have runs, and the memory of a step."""
    _, data = read_characters(CORPUS, settings["tiny"])
    for name, entry in record["variants"].items():
        if entry["runs"]:
            summarise(entry)
            if "memory_mb" not in entry:
                entry["memory_mb"] = memory_mb(*configs(name, settings | {"seed": TRAINING.seed}), data)


EXPERIMENT = Experiment(
    record="ablations/summary.json",
    varied=grid(variant=VARIANTS),
    seeds=(1, 2, 3),
    flags={"steps": TRAINING.max_steps},
    tiny={"steps": 2},
    run=run,
    about=about,
    keep=keep,
    finish=finish,
    place=("variants", "{variant}", "runs", "{seed}"),
    metrics={"validation_loss": lambda run: run["validation_loss"]},
    baseline={"variant": "baseline"},
)


def add_times(path: Path) -> None:
    """Time the steps of all variants, and add that to the record."""
    record = read_json(path)
    settings = {"tiny": record["corpus"]["name"] != CORPUS, "seed": TRAINING.seed, "steps": 10**6}
    _, data = read_characters(CORPUS, settings["tiny"])
    for name, time in milliseconds_a_step(settings, data).items():
        record["variants"][name]["milliseconds_a_step"] = time
    write_record(path, record)


if __name__ == "__main__":
    add_times(main(EXPERIMENT))
