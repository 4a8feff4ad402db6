"""What `minigpt selftest` tries: each attempt says what it found, or raises what is wrong.

Shapes: B batch, T time, V vocabulary.
"""

import platform
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from minigpt import checkpoint
from minigpt.attention import ATTENDS
from minigpt.bpe.tokenizer import BPETokenizer
from minigpt.config import GPTConfig, TrainConfig, require
from minigpt.diagnosis.contracts import verify_model, verify_tokenizer
from minigpt.errors import UserError, named
from minigpt.evaluation import cross_entropy
from minigpt.generation import generate
from minigpt.machine import pick_device
from minigpt.model import GPT, count_parameters
from minigpt.shipped_files import shipped
from minigpt.tokenizers import CharTokenizer
from minigpt.training.optim import make_optimizer

NEEDED = ["torch", "numpy", "tiktoken", "regex", "safetensors", "pooch", "filelock", "psutil", "tqdm", "matplotlib"]
NEEDED += ["typer", "rich"]
OLDEST_TORCH = (2, 6)
STEPS = 50
TEXT = "Two households, both alike in dignity,\n\tin fair Verona: café, Ωμέγα, 日本, 🎭\n"
SMALL = GPTConfig(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=32)


def try_versions() -> str:
    """Import what the package needs, and look at the version of PyTorch."""
    for name in NEEDED:
        import_module(name)
    version = tuple(map(int, torch.__version__.split(".")[:2]))
    oldest = ".".join(map(str, OLDEST_TORCH))
    require(version >= OLDEST_TORCH, f"torch {torch.__version__} is older than {oldest}.")
    return f"Python {platform.python_version()}, torch {torch.__version__}, and {len(NEEDED) - 1} other packages"


def try_device() -> str:
    """Multiply two matrices on the fastest device and on the CPU."""
    device = pick_device()
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    product = (a.to(device) @ b.to(device)).cpu()
    require(torch.allclose(product, a @ b, atol=0.1), f"A product of matrices on {device} differs from the CPU's.")
    return f"{device}, as exact as it should be" if device.type != "cpu" else "cpu; no GPU that PyTorch can use"


def try_forward() -> str:
    """Compute logits with each formula of attention: (B, T) -> (B, T, V), all finite and equal."""
    ids = random_ids()
    logits = {name: fresh(attend=name)(ids) for name in ATTENDS}
    for name, found in logits.items():
        require(found.shape == (*ids.shape, SMALL.vocab_size), f"attend = {name!r} gives the shape {found.shape}.")
        require(bool(found.isfinite().all()), f"attend = {name!r} gives numbers that are not finite.")
        same = torch.allclose(found, logits["naive"], atol=1e-4)
        require(same, f"attend = {name!r} gives other logits than 'naive'.")
    return f"{', '.join(logits)} agree on {found.numel():,} logits"


def try_causality() -> str:
    """Change what comes later, with each formula of attention, and look whether what came before stays the same."""
    for name in ATTENDS:
        with named(f"attend = {name!r}"):
            verify_model(fresh(attend=name))
    return "no token sees those that come after it"


def try_overfitting() -> str:
    """Train on one batch until the model knows it by heart."""
    settings = TrainConfig(learning_rate=1e-2, weight_decay=0.0)
    model = fresh().train()
    optimizer = make_optimizer(model, settings)
    batch = random_ids()
    losses = []
    for _ in range(STEPS):
        loss = cross_entropy(model(batch[:, :-1]), batch[:, 1:])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    went = f"from {losses[0]:.2f} to {losses[-1]:.2f}"
    require(losses[-1] < losses[0] / 10, f"In {STEPS} steps on one batch, the loss went {went}.")
    return f"loss {went} in {STEPS} steps on one batch"


def try_tokenizers() -> str:
    """Encode a text in several scripts and decode it again."""
    for tokenizer in (CharTokenizer.from_text(TEXT), BPETokenizer.train(TEXT * 2, 270)):
        verify_tokenizer(tokenizer, TEXT)
    return "characters and subwords give the text back"


def try_checkpoint() -> str:
    """Save a model, load it, and see that a damaged file is noticed."""
    model, tokenizer = fresh(vocab_size=len(set(TEXT))), CharTokenizer.from_text(TEXT)
    ids = torch.tensor([tokenizer.encode(TEXT)[: SMALL.block_size]])
    with TemporaryDirectory() as place:
        folder = Path(place) / "model"
        checkpoint.save(folder, model, tokenizer)
        loaded = checkpoint.load(folder)
        require(torch.equal(loaded.model(ids), model(ids)), "A model gives other logits after it was saved and loaded.")
        weights = folder / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        require(not can_load(folder), "A damaged checkpoint is loaded as if nothing were wrong.")
    return "equal to the bit, and damage is noticed"


def try_shipped_model() -> str:
    """Let the shipped model write."""
    model, tokenizer = checkpoint.load(shipped("checkpoints/tiny"))
    text = generate(model, tokenizer, "ROMEO:", max_new_tokens=40, temperature=0)
    require(len(text) > len("ROMEO:"), "The shipped model writes nothing.")
    return f"{count_parameters(model):,} parameters, and it goes on: {text.splitlines()[-1]!r}"


def can_load(folder: Path) -> bool:
    """Return whether a checkpoint is loaded without complaint."""
    try:
        checkpoint.load(folder)
    except UserError:
        return False
    return True


def fresh(**changes: object) -> GPT:
    """Return a small model with the same weights at every call, ready to generate."""
    torch.manual_seed(0)
    return GPT(SMALL.replace(**changes)).eval()


def random_ids() -> torch.Tensor:
    """Return a batch of ids for the small model."""
    return torch.randint(SMALL.vocab_size, (4, SMALL.block_size), generator=torch.Generator().manual_seed(1))
