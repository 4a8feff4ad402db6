"""Train models of several widths on several amounts of text, for a small scaling law; the record goes to results/.

python -m experiments.scaling
"""

from pathlib import Path

from experiments.common import Experiment, Result, Settings, grid, main
from experiments.training import TINY_TRAINING, about_corpus, read_characters, train
from minigpt import GPTConfig, StepMetrics, TrainConfig, evaluate
from minigpt.planning.counting import num_parameters, training_flops

CORPUS = "tinyshakespeare"
WIDTHS = (16, 32, 64, 96)  # two layers each; a head is 16 channels wide
WIDER = (128, 192)  # put aside, to test a law that was fitted to the others
RUNS = grid(steps=(150, 600), n_embd=WIDTHS) + grid(steps=(600,), n_embd=WIDER)
RUNS += grid(steps=(1200,), n_embd=WIDTHS) + grid(steps=(2400,), n_embd=WIDTHS[:3])
SETTINGS = TrainConfig(batch_size=16, learning_rate=3e-3, min_learning_rate=3e-4, warmup_steps=50, seed=1)
BLOCK_SIZE = 64


def run(settings: Settings, folder: Path) -> Result:
    """Train one model and return what it reached; a miniature takes a fiftieth of the steps."""
    tokenizer, data = read_characters(CORPUS, settings["tiny"])
    width, tiny = settings["n_embd"], settings["tiny"]
    steps = settings["steps"] // (50 if tiny else 1)
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size, n_layer=2, n_head=width // 16, n_embd=width, block_size=BLOCK_SIZE
    )
    training = SETTINGS.replace(max_steps=steps, eval_every=steps, **TINY_TRAINING if tiny else {})
    model, records = train(folder, config, training, data, tokenizer)
    found = evaluate(model, data.validation, config.block_size, max_windows=1000)
    tokens = steps * training.batch_size * config.block_size
    return {
        "n_layer": config.n_layer,
        "parameters": num_parameters(config),
        "in_blocks": 12 * config.n_layer * config.n_embd**2,
        "tokens": tokens,
        "operations": tokens * training_flops(config),
        "training_loss": round(sum(record.loss for record in records[-50:]) / len(records[-50:]), 4),
        "validation_loss": round(found.loss, 4),
        "processor_seconds": round(processor_seconds(records), 1),
    }


def processor_seconds(records: list[StepMetrics]) -> float:
    """Return how long one processor was busy with the steps, whether or not the run was interrupted."""
    pairs = zip(records, [None, *records[:-1]], strict=True)
    return sum(
        (record.seconds - (before.seconds if before else 0)) * record.cpu_percent / 100 for record, before in pairs
    )


def about(settings: Settings) -> Result:
    """Return what the record says about all runs."""
    training = SETTINGS.replace(**TINY_TRAINING if settings["tiny"] else {}).to_dict()
    kept = {name: value for name, value in training.items() if name not in ("max_steps", "eval_every")}
    return {"corpus": about_corpus(CORPUS, settings["tiny"]), "training": {"block_size": BLOCK_SIZE, **kept}}


def finish(record: Result, settings: Settings) -> None:
    """Sort the rows by size and by steps."""
    record["rows"].sort(key=lambda row: (row["in_blocks"], row["steps"]))


EXPERIMENT = Experiment(record="scaling.json", varied=RUNS, run=run, about=about, finish=finish, place=("rows",))

if __name__ == "__main__":
    main(EXPERIMENT)
