"""How fast a model trains on the device at hand."""

import time

import torch

from minigpt.config import GPTConfig, TrainConfig
from minigpt.data.batches import Split
from minigpt.model.gpt import GPT
from minigpt.planning.counting import training_flops
from minigpt.training.trainer import Trainer
from minigpt.utils.random_state import preserve_rng_state


def measure_throughput(
    config: GPTConfig,
    settings: TrainConfig,
    *,
    steps: int = 3,
    warmup: int = 1,
    device: torch.device | str | None = None,
) -> float:
    """Return the tokens per second of real training steps on random tokens, after some to warm up.

    The settings say how large a step is and how it computes; how many there are, they do not.
    """
    long_enough = {"max_steps": warmup + steps + 1, "eval_every": warmup + steps + 1, "sample_every": 0}
    with preserve_rng_state():
        ids = torch.randint(config.vocab_size, (2 * config.block_size + 2,))
        trainer = Trainer(GPT(config), Split(ids, ids), settings.replace(**long_enough), device=device)
    records = trainer.run()
    for _ in range(warmup):
        next(records)
    synchronize(trainer.device)
    started = time.perf_counter()
    for _ in range(steps):
        next(records)
    synchronize(trainer.device)
    return steps * settings.batch_size * config.block_size / (time.perf_counter() - started)


def synchronize(device: torch.device) -> None:
    """Return when a device has done all that it was asked to: a GPU works on while the program goes ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def measure_training_flops(config: GPTConfig, batch_size: int, steps: int = 3, precision: str = "float32") -> float:
    """Return the operations per second of real training steps here, on random tokens, after one to warm up."""
    settings = TrainConfig(batch_size=batch_size, precision=precision)
    return measure_throughput(config, settings, steps=steps) * training_flops(config)
