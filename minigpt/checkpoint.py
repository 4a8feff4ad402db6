"""A model on disk: a folder of `config.json`, `model.safetensors`, `tokenizer.json` and, for resuming, `trainer.pt`.

Their checksums stand in `SHA256SUMS`, so that a damaged checkpoint is an error and never a silently wrong model.
"""

import errno
import json
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from minigpt.checksums import NAME as CHECKSUMS
from minigpt.checksums import verify, write_checksums
from minigpt.config import GPTConfig, read_json, require
from minigpt.errors import UserError, named
from minigpt.files import flush, previous, replacing, whole
from minigpt.model import GPT, Factory
from minigpt.taking_turns import settled
from minigpt.tokenizers import Tokenizer, load_tokenizer


class Checkpoint(NamedTuple):
    """A model and the tokenizer it was trained with."""

    model: GPT
    tokenizer: Tokenizer


def save(folder: Path | str, model: GPT, tokenizer: Tokenizer, trainer_state: dict[str, Any] | None = None) -> None:
    """Write a checkpoint folder in one step: after a crash or on a full disk the earlier one is intact.

    Raises:
        UserError: the folder cannot be written, or holds something else than a checkpoint.
    """
    folder = Path(folder)
    require(
        not folder.exists() or (folder / "config.json").exists() or (folder.is_dir() and not any(folder.iterdir())),
        f"{folder} exists and is not a checkpoint, and saving would replace it; choose another name.",
    )
    with replacing(folder) as new:
        values = {"model": model.config.to_dict(), "replaced": model.replaced}
        (new / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        tokenizer.save(new / "tokenizer.json")
        write_weights(model, new / "model.safetensors")
        shutil.copymode(new / "config.json", new / "model.safetensors")  # which safetensors keeps private
        if trainer_state is not None:
            write_trainer_state(trainer_state, new / "trainer.pt")
        with ThreadPoolExecutor(1) as beside:
            flushed = beside.submit(flush, new / "model.safetensors")  # the disk works while checksums are computed
            write_checksums(new)
            flushed.result()


def write_weights(model: GPT, path: Path) -> None:
    """Write a model's weights; like any other failed write, a full disk is an `OSError`."""
    try:
        save_model(model, str(path))
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error)) from None


def write_trainer_state(state: dict[str, Any], path: Path) -> None:
    """Write what `torch.save` can write; like any other failed write, a full disk is an `OSError`."""
    try:
        torch.save(state, path)
    except RuntimeError as error:
        raise OSError(errno.EIO, f"{path.name} could not be written whole") from error


def load(folder: Path | str, **factories: Factory) -> Checkpoint:
    """Read a checkpoint, ready to generate; a training run's folder stands for its best checkpoint.

    A component that was replaced when the model was built has to be given again: `load(folder, norm=MyNorm)`.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others.
    """
    places = [Path(folder), Path(folder) / "best", Path(folder) / "last"]
    watched = [either for place in places for either in (place, previous(place.resolve()))]
    return settled(lambda: find(Path(folder)), lambda found: read_checkpoint(found, **factories), watched)


def read_checkpoint(folder: Path, **factories: Factory) -> Checkpoint:
    """Read the files of a checkpoint, one by one; `load` sees to it that they belong together."""
    values = read_json(folder / "config.json")
    verify(folder / "config.json")
    require(
        isinstance(values.get("replaced"), list),
        f"{folder / 'config.json'} lacks the list 'replaced'; is it a checkpoint of minigpt?",
    )
    config = GPTConfig.from_dict(values.get("model"), str(folder / "config.json"))
    require(
        any((folder / name).exists() for name in ("model.safetensors", CHECKSUMS)),  # saved, if perhaps damaged
        f"{folder} holds a configuration but no weights; see the README.md there, or train the model yourself.",
    )
    missing = [name for name in values["replaced"] if name not in factories]
    require(
        not missing,
        f"{folder} was saved with a component of its own; give it again: load(folder, "
        f"{', '.join(f'{name}=…' for name in missing)}).",
    )
    verify(folder / "tokenizer.json")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    require(
        tokenizer.vocab_size <= config.vocab_size,
        f"{folder / 'tokenizer.json'} has {tokenizer.vocab_size} tokens but the model only {config.vocab_size}; "
        "these files do not belong together.",
    )
    with named(folder / "config.json"):
        model = GPT(config, **factories)
    read_weights(model, folder / "model.safetensors")
    return Checkpoint(model.eval(), tokenizer)


def read_weights(model: GPT, path: Path) -> None:
    """Read a model's weights from a safetensors file.

    Raises:
        UserError: the file is missing, truncated or damaged, or holds the weights of another architecture.
    """
    verify(path)
    try:
        load_model(model, str(path))
    except SafetensorError as error:
        raise UserError(f"{path} is truncated or damaged ({error}); copy or save the checkpoint again.") from None
    except RuntimeError:
        raise UserError(f"{path} holds the weights of another architecture than its config.json describes.") from None


def read_trainer_state(folder: Path | str) -> dict[str, Any]:
    """Read what a training run needs to go on, without running any code from the file.

    Raises:
        UserError: the checkpoint has no such file, or it is damaged.
    """
    path = find(Path(folder)) / "trainer.pt"
    require(path.exists(), f"{path} does not exist; this checkpoint can generate, but not go on training.")
    verify(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # there is little that a damaged file cannot raise here
        raise UserError(f"{path} is truncated or damaged; go back to an earlier checkpoint.") from None


def find(folder: Path) -> Path:
    """Return the checkpoint that a folder holds: itself, or the `best` one of a training run.

    Raises:
        UserError: there is no checkpoint there.
    """
    if (whole(folder) / "config.json").exists():
        return whole(folder)
    for candidate in (whole(folder / "best"), whole(folder / "last")):
        if candidate.is_dir():  # if it is damaged, `last` is no substitute for `best`
            return candidate
    raise UserError(
        f"{folder} holds no checkpoint (no config.json); check the path, or train with "
        f"`minigpt train --out {shlex.quote(str(folder))}`."
    )
