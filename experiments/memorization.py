"""A GPT learns one play by heart, and the record says what that gives; it goes to results/.

    python -m experiments.memorization --folder FOLDER
    python -m experiments.memorization --beside checkpoints/plays-bpe

The model and the vocabulary are those of the preset `plays-bpe`, the recipe is the one of the preset `gpt2`: windows of
128 tokens, a constant learning rate, no dropout. The run ends when the training loss, as a mean over one pass, is below
the target. On the way the model is measured: its loss at each place of a window, on the play and on held-out text, what
it writes, and how much of that stands in the play. Started again with the same folder, it goes on, perhaps at another
learning rate. `--beside` measures another model in the same way on the same held-out text and adds it.
"""

import json
from pathlib import Path

from experiments.common import output_of, parser_of, write_record
from experiments.memorization_part import (
    WRITTEN_TEXTS,
    WRITTEN_TOKENS,
    Materials,
    measure,
    on_all_held_out,
    shared,
    write_after,
)
from experiments.training import begin
from minigpt import Split, checkpoint, read_run, training_preset
from minigpt.checkpoint.run_log import write_run
from minigpt.evaluation.memorization import evenly_spaced_windows
from minigpt.utils.machine import environment_info

MEASURED_AFTER = (25, 50, 100, 150, 200, 300, 400, 500, 700, 1000, 1400, 2000, 2800)  # steps, and at the end
KEPT_EVERY = 5


def memorise(materials: Materials, folder: Path, out: Path, target: float, settings: dict) -> None:
    """Train until the training loss is below the target, and measure on the way."""
    data = Split(materials.play, materials.held_out)
    record = materials.describe() | {"machine": environment_info(), "target": target, "points": []}
    trainer = begin(
        folder,
        materials.config,
        training_preset("gpt2", **settings),
        data,
        materials.tokenizer,
        metadata={name: record[name] for name in ("corpus", "play", "held_out", "floor")},
        changes={name: settings[name] for name in ("max_steps", "learning_rate", "min_learning_rate")},
    )
    if trainer.step > 0 and out.exists():
        earlier = json.loads(out.read_text("utf-8"))["points"]
        record["points"] = [point for point in earlier if point["step"] <= trainer.step]
    record["training"] = trainer.config.to_dict()
    yardstick = evenly_spaced_windows(materials.held_out, WRITTEN_TOKENS, 10 * WRITTEN_TEXTS)
    record["yardstick"] = shared(yardstick, materials.play)
    losses = [each.loss for each in read_run(folder / "log.jsonl").records] if trainer.step else []
    reached = len(losses) > 0 and mean_of_a_pass(losses, materials) < target
    for step in () if reached else trainer.run():
        losses.append(step.loss)
        mean = mean_of_a_pass(losses, materials)
        if step.step in MEASURED_AFTER or mean < target:
            point = {"step": step.step, "seconds": round(step.seconds), "recent_loss": round(mean, 4)}
            record["points"].append(point | measure(trainer.model, materials, materials.play))
            write_record(out, record)
            print(step.step, f"{mean:.3f}", record["points"][-1]["loss"], record["points"][-1]["overlap"], flush=True)
        if mean < target:
            trainer.save()
            break
    models = {"best": checkpoint.load(folder / "best").model, "last": trainer.model}
    record["on_all_held_out"] = {name: on_all_held_out(model, materials) for name, model in models.items()}
    record["after_the_play"] = {
        name: write_after(model, materials, materials.play, materials.play) for name, model in models.items()
    }
    write_record(out, record)
    run = read_run(folder / "log.jsonl")
    ends = (1, run.records[-1].step)
    kept = [each for each in run.records if each.step % KEPT_EVERY == 0 or each.validation_loss or each.step in ends]
    write_run(out.with_suffix(".jsonl"), run.header | {"kept_every": KEPT_EVERY}, kept)


def mean_of_a_pass(losses: list[float], materials: Materials) -> float:
    """Return the mean of the last losses, over as many steps as a pass through the play takes."""
    recent = losses[-materials.steps_per_pass :]
    return sum(recent) / len(recent)


def beside(materials: Materials, folder: Path, out: Path) -> None:
    """Add the figures of a model that was trained on the whole training part, which is what it may copy from."""
    record = json.loads(out.read_text("utf-8"))
    model, tokenizer = checkpoint.load(folder)
    assert tokenizer.to_dict() == materials.tokenizer.to_dict(), "the two models must have the same vocabulary"
    yardstick = evenly_spaced_windows(materials.held_out, WRITTEN_TOKENS, 10 * WRITTEN_TEXTS)
    record["beside"] = {
        "name": folder.name,
        "model": model.config.to_dict(),
        "training_tokens": len(materials.training_part),
        "yardstick": shared(yardstick, materials.training_part),
        "on_all_held_out": on_all_held_out(model, materials),
        **measure(model, materials, materials.training_part),
    }
    write_record(out, record)
    print({name: record["beside"][name] for name in ("on_all_held_out", "loss", "overlap", "recited")})


def main() -> None:
    """Memorise, or measure another model."""
    parser = parser_of(__doc__)
    parser.add_argument("--folder", type=Path, help="where the run keeps its checkpoints")
    parser.add_argument("--beside", type=Path, help="the checkpoint of another model to measure")
    parser.add_argument("--target", type=float, default=0.1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=4000, help="the run ends here at the latest")
    arguments = parser.parse_args()
    materials, out = Materials(arguments.tiny), output_of(arguments, "memorization.json")
    if arguments.folder:
        settings = {"learning_rate": arguments.learning_rate, "min_learning_rate": arguments.learning_rate}
        settings |= {"max_steps": arguments.steps, "eval_every": 25, "eval_sequences": 64, "save_every": 100}
        memorise(materials, arguments.folder, out, arguments.target, settings)
    if arguments.beside:
        beside(materials, arguments.beside, out)


if __name__ == "__main__":
    main()
