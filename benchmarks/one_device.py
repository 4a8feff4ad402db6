"""How fast one device trains models of several sizes, and what share of its best that is; the record goes to results/.

    python -m benchmarks.one_device

The steps are those of the `Trainer` on random tokens, in float32. The device should have nothing else to do.
"""

import argparse
import json
from pathlib import Path

import torch

from experiments.gpu.common import described_speed
from minigpt import TrainConfig, default_device, model_preset
from minigpt.planning.counting import num_parameters, training_flops
from minigpt.training.throughput import measure_throughput
from minigpt.utils.machine import environment_info

RECORD = Path(__file__).parent.parent / "results" / "one-device.json"
CASES = {"tiny-shakespeare": 8, "plays-bpe": 8, "gpt2-small-32k": 1}  # preset: windows in each step
STEPS = 3


def measure(name: str, batch_size: int, device: torch.device) -> dict:
    """Return what is known of a preset and how fast its steps are."""
    config = model_preset(name)
    settings = TrainConfig(batch_size=batch_size, precision="float32")
    speed = measure_throughput(config, settings, steps=STEPS, device=device)
    return {
        "preset": name,
        "parameters": num_parameters(config),
        "operations_per_token": training_flops(config),
        "batch_size": batch_size,
        "block_size": config.block_size,
        **described_speed(config, speed, device, "float32"),
    }


def main() -> None:
    """Measure every case and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    device = default_device()
    rows = []
    for name, batch_size in CASES.items():
        rows.append(measure(name, batch_size, device))
        print(rows[-1], flush=True)
    record = {"machine": environment_info(), "steps": STEPS, "rows": rows}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
