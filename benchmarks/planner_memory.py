"""The planner's estimates of memory beside measured peaks, each in a fresh process; the record goes to results/.

python -m benchmarks.planner_memory [--work generation]

A process first takes a training step of a tiny model, so that the libraries it needs are loaded; what it holds then
is the baseline. The peak above that baseline, which Linux keeps for each process, is what the model needed. Each case
is measured twice: as it comes, and with an allocator that gives blocks back to the system as soon as they are free.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from minigpt import GPT, GPTConfig, TrainConfig, Trainer, model_preset
from minigpt.data.batches import Split
from minigpt.generation.generate import generate_ids
from minigpt.generation.sampling import Sampler
from minigpt.planning.memory import generation_memory, training_memory
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "planner-memory.json"
TINY = GPTConfig(vocab_size=8, block_size=8, n_layer=1, n_head=1, n_embd=8)
CASES = {  # name: the preset, changes to it, and the batch size
    "tiny-shakespeare": ("tiny-shakespeare", {}, 8),
    "tiny-shakespeare, naive": ("tiny-shakespeare", {"attn_impl": "naive"}, 8),
    "small_char": ("small_char", {}, 4),
    "small": ("small", {}, 2),
    "150M": ("150M", {}, 1),
}
WORKS = ("training", "generation")
ALLOCATORS = {"as it comes": {}, "gives back": {"MALLOC_MMAP_THRESHOLD_": "65536"}}  # bytes, from which on


def status(field: str) -> float:
    """Return a line of what Linux tells about this process, in MB: VmRSS is held now, VmHWM was the most."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{field}:"))


def train(model: GPT, batch_size: int) -> None:
    """Take two training steps on random tokens: from the second on, the optimizer has its averages."""
    config = model.config
    ids = torch.randint(config.vocab_size, (4 * config.block_size,))
    records = Trainer(model, Split(ids, ids), TrainConfig(max_steps=3, batch_size=batch_size), device="cpu").run()
    for _ in range(2):
        next(records)


def write(model: GPT) -> None:
    """Write two tokens after a full context."""
    for _ in generate_ids(model, torch.zeros(1, model.config.block_size, dtype=torch.long), Sampler(), 2):
        pass


def measure(name: str, work: str) -> float:
    """Return the peak above the baseline in MB, of this process; building the model is not part of it."""
    preset_name, changes, batch_size = CASES[name]
    tiny = GPT(TINY)
    train(tiny, 1)
    write(tiny)
    baseline = status("VmRSS")
    model = GPT(model_preset(preset_name, **changes))
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is counted from here
    train(model, batch_size) if work == "training" else write(model)
    return status("VmHWM") - baseline


def measured_apart(name: str, work: str, allocator: dict[str, str]) -> float:
    """Measure in a fresh process of one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | allocator
    command = [sys.executable, __file__, name, work]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def row_of(name: str, work: str) -> dict[str, Any]:
    """Return the estimate of one case and what was measured."""
    preset_name, changes, batch_size = CASES[name]
    config = model_preset(preset_name, **changes)
    estimate = (training_memory(config, batch_size) if work == "training" else generation_memory(config)).peak
    measured = {allocator: round(measured_apart(name, work, how), 1) for allocator, how in ALLOCATORS.items()}
    row = {"case": name, "preset": preset_name, "changes": changes, "work": work, "batch_size": batch_size}
    return row | {"estimated_mb": round(estimate / 1e6, 1), "measured_mb": measured}


def main() -> None:
    """Set estimate and measurements side by side, for every case, or anew for one kind of work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", choices=WORKS, help="measure only this anew, and keep the other rows of the record")
    only = parser.parse_args().work
    earlier = json.loads(RECORD.read_text(encoding="utf-8")) if only else {"machine": environment_info(), "rows": []}
    kept = {(row["case"], row["work"]): row for row in earlier["rows"] if row["work"] != only}
    rows = []
    for case in ((name, work) for name in CASES for work in WORKS):
        rows.append(kept.get(case) or row_of(*case))
        print(rows[-1], flush=True)
    again = {"measured_again": {only: environment_info()}} if only else {}
    RECORD.write_text(json.dumps(earlier | again | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    measuring = sys.argv[1:2] and sys.argv[1] in CASES
    print(measure(*sys.argv[1:])) if measuring else main()
