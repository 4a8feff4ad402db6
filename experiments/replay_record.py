"""Make the record of the replay, `results/replay.json`, from the folder of a run of `experiments/shipped/tiny.py`.

    python -m experiments.replay_record --run runs/tiny
    python -m experiments.replay_record --run runs/tiny --head 2.3

A run that still goes on gives a record too, which says so. It keeps the attention of one head: the one that looks most
at the character just before when the run ends, or the one that is named by its block and its number there, from 0.
"""

import base64
import json
import sys
from math import isqrt
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from experiments.common import RESULTS, parser_of, write_record
from experiments.shipped.tiny import READ, SAMPLE
from minigpt import StepMetrics, UserError, read_run
from minigpt.checkpoint import find_checkpoint
from minigpt.checkpoint.run_log import round_significant
from minigpt.utils.files import sha256_file

KEPT_EVERY = 10  # steps of which one point of the curve is the mean


def weights(text: str) -> np.ndarray:
    """Return the attention weights (T, T) of a head in a frame of the run, as shares of 255."""
    found = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return found.reshape(isqrt(found.size), -1)


def share_before(matrix: np.ndarray) -> float:
    """Return the mean share that the characters of a text, but the first, give to the one just before: (T, T) -> ()."""
    return float(np.diagonal(matrix, -1).mean() / 255)


def packed(matrix: np.ndarray) -> str:
    """Return the part of a matrix that a causal mask leaves, row by row, in base64."""
    return base64.b64encode(matrix[np.tril_indices(len(matrix))].tobytes()).decode("ascii")


def clearest_head(frame: dict[str, Any]) -> str:
    """Return the head of a frame that looks most at the character just before."""
    return max(frame["attention"], key=lambda head: share_before(weights(frame["attention"][head])))


def read_frames(path: Path) -> list[dict[str, Any]]:
    """Return the frames of a run; a line that is still being written is left out.

    Raises:
        UserError: there are none.
    """
    lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
    if not lines:
        raise UserError(f"{path} holds no frames; make the run with experiments/shipped/tiny.py.")
    return [json.loads(line) for line in lines]


def course(records: list[StepMetrics]) -> dict[str, list[float]]:
    """Return the loss and the learning rate along the run: the first step, then means over `KEPT_EVERY` steps."""
    groups = [records[:1], *(records[start : start + KEPT_EVERY] for start in range(0, len(records), KEPT_EVERY))]
    return {
        "step": [group[-1].step for group in groups],
        "loss": [round(mean(record.loss for record in group), 4) for group in groups],
        "learning_rate": [round_significant(group[-1].learning_rate) for group in groups],
    }


def replay(folder: Path, head: str | None = None) -> dict[str, Any]:
    """Return the record of the replay of a run, with the attention of one head.

    Raises:
        UserError: the folder holds no such run, or the model no such head.
    """
    run, frames = read_run(folder / "log.jsonl"), read_frames(folder / "frames.jsonl")
    if not run.records:
        raise UserError(f"The run in {folder} has not taken a step yet; wait for its first ones.")
    heads = frames[-1]["attention"]
    head = head or clearest_head(frames[-1])
    if head not in heads:
        raise UserError(f"There is no head {head!r} in this run; choose one of {', '.join(heads)}.")
    matrices = [weights(frame["attention"][head]) for frame in frames]
    training = run.header["training"]
    finished = training["max_steps"] == run.records[-1].step == frames[-1]["step"]
    return {
        "finished": finished,
        **{name: run.header[name] for name in ("preset", "corpus", "machine", "resumed") if name in run.header},
        **({"sha256": sha256_file(find_checkpoint(folder / "last") / "model.safetensors")} if finished else {}),
        "max_steps": training["max_steps"],
        "kept_every": KEPT_EVERY,
        "sample": {"prompt": training["sample_prompt"], **SAMPLE},
        "read": READ,
        "head": head,
        "course": course(run.records),
        "validation": [[record.step, round(record.validation_loss, 4)] for record in run.evaluations],
        "frames": [
            {
                "step": frame["step"],
                "sample": frame["sample"],
                "before": round(share_before(matrix), 4),
                "attention": packed(matrix),
            }
            for frame, matrix in zip(frames, matrices, strict=True)
        ],
    }


def main() -> None:
    """Write the record."""
    parser = parser_of(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--head", help="block and head, such as 2.3")
    arguments = parser.parse_args()
    try:
        record = replay(arguments.run, arguments.head)
    except UserError as error:
        sys.exit(str(error))
    write_record(arguments.output or RESULTS / "replay.json", record)


if __name__ == "__main__":
    main()
