"""Try changes to a recipe of the speedrun, quickly: one seed, one core, a part of the validation windows.

    python -m experiments.speedrun.trials "How many windows a step?" '{"batch_size": 16}' '{"batch_size": 32}'
    python -m experiments.speedrun.trials "More dropout?" --base lowest --seconds 30 '{"model": {"dropout": 0.1}}'

A change is a JSON object with fields of the recipe. The base is tried first, then each change to it. What is counted is
the processor's time, which another program on the machine disturbs less than it does the clock on the wall. The trials
are added to `results/speedrun-trials.json`. They choose recipes; only `experiments/speedrun/run.py` makes records.
"""

import json
import math
from time import perf_counter, process_time

import torch

from experiments.common import output_of, parser_of, write_record
from experiments.speedrun import training as speedrun_training
from experiments.speedrun.recipe import BASELINE, LOWEST, NO_NGRAMS, RECORD, TINY
from experiments.training import read_characters
from minigpt import evaluate
from minigpt.utils.files import read_json
from minigpt.utils.machine import environment_info

BASES = {"baseline": BASELINE, "no n-grams": NO_NGRAMS, "record": RECORD, "lowest": LOWEST}
EVALUATED = 32_000  # characters, in windows that are spread evenly over the validation part
SEED = 101  # not one of those that a record reports


def evaluate_quickly(
    model: torch.nn.Module, ids: torch.Tensor, block_size: int, max_windows: int | None = None
) -> object:
    """Return the evaluation of a part of the windows."""
    return evaluate(model, ids, block_size, max_windows=max_windows or EVALUATED // block_size)


def main(arguments: list[str] | None = None) -> None:
    """Try the base and every change, and add what came out to the file."""
    parser = parser_of(__doc__)
    parser.add_argument("question")
    parser.add_argument("changes", nargs="*", type=json.loads)
    parser.add_argument("--base", choices=BASES, default="record")
    parser.add_argument("--seconds", type=float, default=math.inf, help="for a recipe without steps")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_intermixed_args(arguments)  # the options may stand between the question and the changes
    torch.set_num_threads(asked.threads)
    speedrun_training.perf_counter = process_time if asked.threads == 1 else perf_counter
    speedrun_training.evaluate = evaluate_quickly
    tokenizer, data = read_characters("tinyshakespeare", asked.tiny)
    base = BASES[asked.base].changed(TINY if asked.tiny else {})
    path = output_of(asked, "speedrun-trials.json")
    empty = {"machine": environment_info(), "seed": SEED, "characters_evaluated": EVALUATED, "groups": []}
    written = read_json(path) if path.exists() else empty
    group = {"question": asked.question, "threads": asked.threads, "trials": []}
    written["groups"].append(group)
    for changes in ({}, *asked.changes):
        recipe = base.changed(changes)
        run = speedrun_training.train(recipe, data, tokenizer.vocab_size, SEED, asked.seconds)
        changed = json.dumps(changes).strip("{}").replace('"', "") or f"nothing ({asked.base})"
        trial = {"changed": changed, "steps": run["steps"], "seconds": run["seconds"], "loss": run["loss"]}
        group["trials"].append(trial)
        write_record(path, written)
        print(f"{run['loss']:.4f} after {run['seconds']:.2f} s, {run['steps']} steps: {changed}", flush=True)


if __name__ == "__main__":
    main()
