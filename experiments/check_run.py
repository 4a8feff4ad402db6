"""How often `check_run` names the right cause: the clinic's runs, broken on purpose; the record goes to results/.

    python -m experiments.check_run --corpus tinyshakespeare --seeds 4 5 6

The records are stripped of the learning rate that was really used, so that only the curves can speak.
"""

from dataclasses import replace
from pathlib import Path

from torch.nn import functional as F

import minigpt.training.trainer
from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import begin, often_saved, read_characters
from minigpt import GPTConfig, Split, TrainConfig, asset_path, get_batch, read_run
from minigpt.model.attention import CausalSelfAttention
from minigpt.notebook import check_run
from minigpt.notebook.check_run.reference import ReferenceBand, read_reference_band

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


FAULTS = {  # what is wrong, by name: changes to the settings, or one of those that `run` knows
    "normal": {},
    "the learning rate is too high": {"training": {"learning_rate": 0.05}},
    "the learning rate is too low": {"training": {"learning_rate": 0.0005}},
    "the causal mask is missing": {"factories": {"attention": leaking_attention}},
    "the targets are not shifted": {"batch": unshifted_batch},
    "the evaluation runs with dropout on": {"dropout_in_evaluation": True},
    "the batch is too small": {"training": {"batch_size": 2}},
    "there is too little text, and it is learnt by heart": {"short": True},
}


def read_band(corpus: str) -> ReferenceBand:
    """Return the reference runs of the clinic."""
    return read_reference_band(asset_path(f"results/reference_bands/clinic-{corpus}.json"))


def run(settings: Settings, folder: Path) -> Result:
    """Train the clinic's setting with one thing broken; return which cause is named first."""
    reference_band, broken = read_band(settings["corpus"]), FAULTS[settings["fault"]]
    tokenizer, data = read_characters(settings["corpus"], settings["tiny"])
    data = Split(data.train[:SHORT], data.validation) if broken.get("short") else data
    config = GPTConfig.from_dict(reference_band.model)
    training = TrainConfig.from_dict(reference_band.training).replace(
        seed=settings["seed"], **broken.get("training", {})
    )
    trainer = begin(folder, config, often_saved(training), data, tokenizer, **broken.get("factories", {}))
    if broken.get("dropout_in_evaluation"):
        trainer.model.eval = trainer.model.train
    minigpt.training.trainer.get_batch = broken.get("batch", get_batch)
    try:
        for _ in trainer.run():
            pass
    finally:
        minigpt.training.trainer.get_batch = get_batch
    records = read_run(folder / "log.jsonl").records
    rates = dict(zip(reference_band.steps, reference_band.bands["learning_rate"].mean, strict=True))
    stripped = [replace(one, learning_rate=rates[min(e for e in rates if e >= one.step)]) for one in records]
    checkup = check_run(stripped, reference_band=reference_band)
    named = "normal" if checkup.normal else next((cause.name for cause in checkup.causes), "no cause")
    return {"named_first": named}


def finish(record: Result, settings: Settings) -> None:
    """List what was named, fault by fault, in the order of the seeds."""
    by_fault = {fault: record["runs"][fault] for fault in FAULTS if fault in record["runs"]}
    record["seeds"] = sorted(map(int, set.intersection(*(set(runs) for runs in by_fault.values()))))
    record["named_first"] = {
        fault: [runs[str(seed)]["named_first"] for seed in record["seeds"]] for fault, runs in by_fault.items()
    }


EXPERIMENT = Experiment(
    record="check-run.json",
    part="{corpus}",
    varied=grid(fault=FAULTS),
    seeds=(4, 5, 6),
    flags={"corpus": "tinyshakespeare"},
    run=run,
    about=lambda settings: {},
    finish=finish,
    place=("runs", "{fault}", "{seed}"),
)

if __name__ == "__main__":
    main(EXPERIMENT)
