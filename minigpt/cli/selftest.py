"""`minigpt selftest`: what it tries; each check says what it found, or raises what is wrong.

Shapes: B batch, T time, V vocabulary.
"""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import typer
from rich.markup import escape
from rich.table import Column, Table

from minigpt import checkpoint
from minigpt.cli.options import console
from minigpt.config import GPTConfig, TrainConfig
from minigpt.evaluation.evaluate import cross_entropy
from minigpt.evaluation.verify import verify_model, verify_tokenizer
from minigpt.generation.generate import generate
from minigpt.model.attention import ATTENTION_FUNCTIONS
from minigpt.model.gpt import GPT, count_parameters
from minigpt.tokenizer.bpe import BPETokenizer
from minigpt.tokenizer.char import CharTokenizer
from minigpt.training.optim import make_optimizer
from minigpt.utils.errors import UserError, error_prefix
from minigpt.utils.machine import asset_path, default_device
from minigpt.utils.random_state import preserve_rng_state

_NEEDED = ["torch", "numpy", "tiktoken", "regex", "safetensors", "pooch", "filelock", "psutil", "tqdm", "matplotlib"]


_NEEDED += ["requests", "typer", "rich"]


_OLDEST_TORCH = (2, 6)


_STEPS = 50


_TEXT = "Two households, both alike in dignity,\n\tin fair Verona: café, Ωμέγα, 日本, 🎭\n"


_SMALL = GPTConfig(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=32)


def _check_versions() -> str:
    """Import what the package needs, and look at the version of PyTorch."""
    for name in _NEEDED:
        import_module(name)
    version = tuple(map(int, torch.__version__.split(".")[:2]))
    oldest = ".".join(map(str, _OLDEST_TORCH))
    if version < _OLDEST_TORCH:
        raise UserError(f"torch {torch.__version__} is older than {oldest}.")
    return f"Python {platform.python_version()}, torch {torch.__version__}, and {len(_NEEDED) - 1} other packages"


def _check_device() -> str:
    """Multiply two matrices on the fastest device and on the CPU."""
    device = default_device()
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    product = (a.to(device) @ b.to(device)).cpu()
    if not torch.allclose(product, a @ b, atol=0.1):
        raise UserError(f"A product of matrices on {device} differs from the CPU's.")
    return f"{device}, as exact as it should be" if device.type != "cpu" else "cpu; no GPU that PyTorch can use"


def _check_forward() -> str:
    """Compute logits with each formula of attention: (B, T) -> (B, T, V), all finite and equal."""
    ids = _random_ids()
    logits = {name: _fresh(attn_impl=name)(ids) for name in ATTENTION_FUNCTIONS}
    for name, found in logits.items():
        if found.shape != (*ids.shape, _SMALL.vocab_size):
            raise UserError(f"attn_impl = {name!r} gives the shape {found.shape}.")
        if not bool(found.isfinite().all()):
            raise UserError(f"attn_impl = {name!r} gives numbers that are not finite.")
        same = torch.allclose(found, logits["naive"], atol=1e-4)
        if not same:
            raise UserError(f"attn_impl = {name!r} gives other logits than 'naive'.")
    return f"{', '.join(logits)} agree on {found.numel():,} logits"


def _check_causality() -> str:
    """Change what comes later, with each formula of attention, and look whether what came before stays the same."""
    for name in ATTENTION_FUNCTIONS:
        with error_prefix(f"attn_impl = {name!r}"):
            verify_model(_fresh(attn_impl=name))
    return "no token sees those that come after it"


def _check_overfitting() -> str:
    """Train on one batch until the model knows it by heart."""
    settings = TrainConfig(learning_rate=1e-2, weight_decay=0.0)
    model = _fresh().train()
    optimizer = make_optimizer(model, settings)
    batch = _random_ids()
    losses = []
    for _ in range(_STEPS):
        loss = cross_entropy(model(batch[:, :-1]), batch[:, 1:])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    went = f"from {losses[0]:.2f} to {losses[-1]:.2f}"
    if not losses[-1] < losses[0] / 10:
        raise UserError(f"In {_STEPS} steps on one batch, the loss went {went}.")
    return f"loss {went} in {_STEPS} steps on one batch"


def _check_tokenizers() -> str:
    """Encode a text in several scripts and decode it again."""
    for tokenizer in (CharTokenizer.from_text(_TEXT), BPETokenizer.train(_TEXT * 2, 270)):
        verify_tokenizer(tokenizer, _TEXT)
    return "characters and subwords give the text back"


def _check_checkpoint() -> str:
    """Save a model, load it, and see that a damaged file is noticed."""
    model, tokenizer = _fresh(vocab_size=len(set(_TEXT))), CharTokenizer.from_text(_TEXT)
    ids = torch.tensor([tokenizer.encode(_TEXT)[: _SMALL.block_size]])
    with TemporaryDirectory() as place:
        folder = Path(place) / "model"
        checkpoint.save(folder, model, tokenizer)
        loaded = checkpoint.load(folder)
        if not torch.equal(loaded.model(ids), model(ids)):
            raise UserError("A model gives other logits after it was saved and loaded.")
        weights = folder / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        if _can_load(folder):
            raise UserError("A damaged checkpoint is loaded as if nothing were wrong.")
    return "equal to the bit, and damage is noticed"


def _check_shipped_model() -> str:
    """Let the shipped model write."""
    model, tokenizer = checkpoint.load(asset_path("checkpoints/tiny"))
    text = generate(model, tokenizer, "ROMEO:", max_new_tokens=40, temperature=0)
    if len(text) <= len("ROMEO:"):
        raise UserError("The shipped model writes nothing.")
    return f"{count_parameters(model):,} parameters, and it goes on: {text.splitlines()[-1]!r}"


def _can_load(folder: Path) -> bool:
    """Return whether a checkpoint is loaded without complaint."""
    try:
        checkpoint.load(folder)
    except UserError:
        return False
    return True


def _fresh(**changes: object) -> GPT:
    """Return a small model with the same weights at every call, ready to generate."""
    torch.manual_seed(0)
    return GPT(_SMALL.replace(**changes)).eval()


def _random_ids() -> torch.Tensor:
    """Return a batch of ids for the small model."""
    return torch.randint(_SMALL.vocab_size, (4, _SMALL.block_size), generator=torch.Generator().manual_seed(1))


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


def run_selftest() -> Iterator[Outcome]:
    """Try everything, one check after the other; no failure keeps the next one from being tried.

    The random state and the files of the caller are left as they were.
    """
    for check in CHECKS:
        started = time.perf_counter()
        try:
            with preserve_rng_state():
                torch.manual_seed(1337)
                found, passed = check.attempt(), True
        except Exception as error:  # whatever a broken installation may raise
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            found, passed = f"{kind}{error}".strip(), False
        yield Outcome(check, passed, found, time.perf_counter() - started)


REINSTALL = "install it again with `pip install --force-reinstall torch`"


CHECKS = [
    Check("versions", _check_versions, "Install what is missing or too old with `pip install --upgrade NAME`."),
    Check(
        "device",
        _check_device,
        "Install the PyTorch that fits your driver (pytorch.org tells which), or set CUDA_VISIBLE_DEVICES to nothing "
        "and work on the CPU.",
    ),
    Check("forward", _check_forward, f"PyTorch computes wrongly on this machine; {REINSTALL}."),
    Check("causality", _check_causality, f"Its attention ignores the mask; {REINSTALL}."),
    Check("learning", _check_overfitting, f"Gradients or the optimizer are wrong here; {REINSTALL}."),
    Check("tokenizers", _check_tokenizers, "Install tiktoken and regex again with `pip install --force-reinstall`."),
    Check(
        "checkpoint",
        _check_checkpoint,
        "Look whether the disk is full and the temporary folder can be written, then install safetensors again.",
    ),
    Check("shipped model", _check_shipped_model, "Its files are missing or damaged; install minigpt again."),
]


outcomes_of_selftest = run_selftest


def selftest() -> None:
    """Say in a few seconds whether the installation works, and what to do where it does not.

    Nothing is downloaded, and nothing is left behind. The exit code is 1 if a check fails.
    """
    table = Table("check", "", "found", Column("seconds", justify="right"))
    outcomes = list(outcomes_of_selftest())
    for outcome in outcomes:
        verdict = "[green]passed[/]" if outcome.passed else "[bold red]failed[/]"
        table.add_row(outcome.check.name, verdict, escape(outcome.found), f"{outcome.seconds:.1f}")
    console.print(table)
    failed = [outcome.check for outcome in outcomes if not outcome.passed]
    for check in failed:
        console.print(f"{check.name}: {check.remedy}", markup=False)
    if failed:
        raise typer.Exit(1)
    console.print("minigpt works on this machine.")
