"""How fast a model trains, and how much of what its device could do that is."""

import time

import torch

from minigpt.config import GPTConfig, TrainConfig, require
from minigpt.data import Split
from minigpt.model import GPT
from minigpt.planning.counting import training_flops
from minigpt.training.randomness import unchanged_randomness
from minigpt.training.trainer import Trainer


def utilisation(config: GPTConfig, tokens_per_second: float, peak: float) -> float:
    """Return the share of a device's best speed that goes into a model's own matrix products: its MFU.

    peak: operations per second, at the precision of the training. What a training step computes twice to save memory
    does not count as the model's own (Chowdhery et al., 2022, appendix B).

    Raises:
        UserError: a speed is not positive.
    """
    for name, speed in (("tokens_per_second", tokens_per_second), ("peak", peak)):
        require(speed > 0, f"{name} = {speed} must be above 0.")
    return tokens_per_second * training_flops(config) / peak


def expected_speed(config: GPTConfig, peak: float, share: float) -> float:
    """Return the tokens per second that a share of a device's best speed gives: `utilisation`, solved for them.

    Raises:
        UserError: the share is not above 0 and at most 1, or the speed is not positive.
    """
    require(0 < share <= 1, f"share = {share} must be above 0 and at most 1.")
    require(peak > 0, f"peak = {peak} must be above 0.")
    return share * peak / training_flops(config)


def measured_throughput(
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
    with unchanged_randomness():
        ids = torch.randint(config.vocab_size, (2 * config.block_size + 2,))
        trainer = Trainer(GPT(config), Split(ids, ids), settings.replace(**long_enough), device=device)
    records = trainer.run()
    for _ in range(warmup):
        next(records)
    wait_for(trainer.device)
    started = time.perf_counter()
    for _ in range(steps):
        next(records)
    wait_for(trainer.device)
    return steps * settings.batch_size * config.block_size / (time.perf_counter() - started)


def wait_for(device: torch.device) -> None:
    """Return when a device has done all that it was asked to: a GPU works on while the program goes ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
