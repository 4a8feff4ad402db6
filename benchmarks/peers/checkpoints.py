"""A model of GPT-2's shape to disk and back: with checksums and in one step, beside `torch.save` and `torch.load`.

Both sides force what they have written to the disk. Both read into a model made anew, as one does who begins.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn.utils import parameters_to_vector

from benchmarks.peers.record import Row
from benchmarks.peers.sameness import equal_ids
from benchmarks.peers.turns import interleaved, seconds
from minigpt import GPT, CharTokenizer, GPTConfig, checkpoint, count_parameters, model_preset
from minigpt.utils.files import fsync_path, sha256_file

NAME = "checkpoints"


def rows(quick: bool) -> Iterator[Row]:
    """Yield saving and loading."""
    config = model_preset("small" if quick else "gpt2")
    torch.manual_seed(0)
    model, tokenizer = GPT(config), CharTokenizer.from_text("abc")
    size = f"{count_parameters(model) / 1e6:.3g}M parameters"
    with tempfile.TemporaryDirectory() as scratch:
        folder, file = Path(scratch) / "ours", Path(scratch) / "peer.pt"
        checkpoint.save(folder, model, tokenizer)
        torch_save(model, file)
        same = same_weights(checkpoint.load(folder).model, torch_load(config, file))
        times = interleaved(
            lambda: checkpoint.save(folder, model, tokenizer), lambda: torch_save(model, file), 1 if quick else 5
        )
        yield Row(
            work=f"saving {size}",
            ours="checkpoint.save, with checksums",
            peer="torch.save, with fsync",
            same=same,
            times=times,
            aim=1,
            details={"seconds_of_the_checksum": round(seconds(lambda: sha256_file(folder / "model.safetensors")), 3)},
        )
        times = interleaved(lambda: checkpoint.load(folder), lambda: torch_load(config, file), 1 if quick else 5)
        yield Row(
            work=f"loading {size}",
            ours="checkpoint.load, with checksums",
            peer="torch.load",
            same=same,
            times=times,
            aim=1,
        )


def torch_save(model: GPT, file: Path) -> None:
    """Write the weights as PyTorch does, to the disk."""
    torch.save(model.state_dict(), file)
    fsync_path(file)


def torch_load(config: GPTConfig, file: Path) -> GPT:
    """Make a model and read its weights as PyTorch does."""
    model = GPT(config)
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


def same_weights(ours: GPT, peer: GPT) -> str:
    """Return a sentence that says that two models have the same weights."""
    return equal_ids("weights", *(parameters_to_vector(model.parameters()) for model in (ours, peer)))
