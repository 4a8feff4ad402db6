"""Memory and time of attention by length, naive and in tiles, each case in a fresh process; into results/.

python -m benchmarks.attention_memory

One head of width 32, forward and backward, and training steps of the book's small model. The peak is what Linux saw
above what the process held before; the allocator gives memory back as soon as it is free. The time is that of the
processor, of one thread, and the shortest of a few rounds. Cases that the record holds already are not run again.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from minigpt import GPT, cross_entropy, model_preset
from minigpt.model.attention import ATTENTION_FUNCTIONS
from minigpt.model.flash_attention import tiled_attention
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "attention-memory.json"
WAYS = ATTENTION_FUNCTIONS | {"tiled, 256": partial(tiled_attention, tile=256)}  # in larger tiles
LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
WIDTH, BATCH_SIZE, ROUNDS = 32, 8, 3
FEW_ROUNDS = 4096  # from this length on, one round after the first is enough


def status(field: str) -> float:
    """Return a line of what Linux tells about this process, in MB: VmRSS is held now, VmHWM was the most."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{field}:"))


def attention_step(name: str, length: int) -> Callable[[], None]:
    """Return a function that goes through one head, forward and backward."""
    q, k, v = (torch.randn(1, 1, length, WIDTH, requires_grad=True) for _ in range(3))

    def step() -> None:
        y, _ = WAYS[name](q, k, v)
        torch.autograd.grad(y.sum(), (q, k, v))

    return step


def training_step(name: str) -> Callable[[], None]:
    """Return a function that takes the gradients of the book's small model on random characters."""
    model = GPT(model_preset("tiny-shakespeare", attn_impl=name, dropout=0.0))
    ids = torch.randint(model.config.vocab_size, (BATCH_SIZE, model.config.block_size + 1))

    def step() -> None:
        cross_entropy(model(ids[:, :-1]), ids[:, 1:]).backward()
        model.zero_grad()

    return step


def measure(kind: str, name: str, length: int) -> dict[str, float]:
    """Return the peak above the start in MB, and the shortest time in seconds."""
    torch.manual_seed(0)
    attention_step(name, 8)()  # loads what the first call needs
    step = attention_step(name, length) if kind == "attention" else training_step(name)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is counted from here
    step()
    peak, durations = status("VmHWM") - before, []
    for _ in range(1 if length >= FEW_ROUNDS else ROUNDS):
        started = time.process_time()
        step()
        durations.append(time.process_time() - started)
    return {"peak_mb": round(peak, 2), "seconds": round(min(durations), 5)}


def measured_apart(*case: object) -> dict[str, float]:
    """Measure in a fresh process of one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, __file__, *map(str, case)]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure every case that the record lacks, and save after each."""
    empty = {"machine": environment_info() | {"threads": 1}, "width": WIDTH, "attention": [], "training": []}
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else empty
    context = model_preset("tiny-shakespeare").block_size
    cases = [("training", name, context) for name in ATTENTION_FUNCTIONS]
    cases += [("attention", name, length) for length in LENGTHS for name in WAYS]
    for kind, name, length in cases:
        if any((row["attn_impl"], row["length"]) == (name, length) for row in record[kind]):
            continue
        row = {"attn_impl": name, "length": length} | measured_apart(kind, name, length)
        record[kind].append(row)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(kind, row, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        main()
