"""Does the installation work? A few checks that take seconds, each with what to do where it fails."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from minigpt.diagnosis.attempts import (
    try_causality,
    try_checkpoint,
    try_device,
    try_forward,
    try_overfitting,
    try_shipped_model,
    try_tokenizers,
    try_versions,
)
from minigpt.errors import UserError
from minigpt.training.randomness import unchanged_randomness


@dataclass(frozen=True)
class Check:
    """Something to try: its name, the attempt, which says what it found or raises, and what to do if it fails."""

    name: str
    attempt: Callable[[], str]
    remedy: str


@dataclass(frozen=True)
class Outcome:
    """What came of a check, and how many seconds it took."""

    check: Check
    passed: bool
    found: str
    seconds: float


def selftest() -> Iterator[Outcome]:
    """Try everything, one check after the other; no failure keeps the next one from being tried.

    The random state and the files of the caller are left as they were.
    """
    for check in CHECKS:
        started = time.perf_counter()
        try:
            with unchanged_randomness():
                torch.manual_seed(1337)
                found, passed = check.attempt(), True
        except Exception as error:  # whatever a broken installation may raise
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            found, passed = f"{kind}{error}".strip(), False
        yield Outcome(check, passed, found, time.perf_counter() - started)


REINSTALL = "install it again with `pip install --force-reinstall torch`"
CHECKS = [
    Check("versions", try_versions, "Install what is missing or too old with `pip install --upgrade NAME`."),
    Check(
        "device",
        try_device,
        "Install the PyTorch that fits your driver (pytorch.org tells which), or set CUDA_VISIBLE_DEVICES to nothing "
        "and work on the CPU.",
    ),
    Check("forward", try_forward, f"PyTorch computes wrongly on this machine; {REINSTALL}."),
    Check("causality", try_causality, f"Its attention ignores the mask; {REINSTALL}."),
    Check("learning", try_overfitting, f"Gradients or the optimizer are wrong here; {REINSTALL}."),
    Check("tokenizers", try_tokenizers, "Install tiktoken and regex again with `pip install --force-reinstall`."),
    Check(
        "checkpoint",
        try_checkpoint,
        "Look whether the disk is full and the temporary folder can be written, then install safetensors again.",
    ),
    Check("shipped model", try_shipped_model, "Its files are missing or damaged; install minigpt again."),
]
