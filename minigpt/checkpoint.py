"""A model on disk: a folder of `config.json`, `model.safetensors`, `tokenizer.json` and, for resuming, `trainer.pt`."""

import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from minigpt.config import GPTConfig, read_json, require
from minigpt.errors import UserError
from minigpt.files import replacing, whole
from minigpt.model import GPT, Factory
from minigpt.tokenizers import CharTokenizer, load_tokenizer


class Checkpoint(NamedTuple):
    """A model and the tokenizer it was trained with."""

    model: GPT
    tokenizer: CharTokenizer


def save(
    folder: Path | str, model: GPT, tokenizer: CharTokenizer, trainer_state: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint folder in one step: after a crash or on a full disk the earlier one is intact.

    Raises:
        UserError: the folder cannot be written.
    """
    with replacing(Path(folder)) as new:
        values = {"model": model.config.to_dict(), "replaced": model.replaced}
        (new / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        tokenizer.save(new / "tokenizer.json")
        save_model(model, str(new / "model.safetensors"))
        if trainer_state is not None:
            torch.save(trainer_state, new / "trainer.pt")


def load(folder: Path | str, **factories: Factory) -> Checkpoint:
    """Read a checkpoint, ready to generate; a training run's folder stands for its best checkpoint.

    A component that was replaced when the model was built has to be given again: `load(folder, norm=MyNorm)`.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others.
    """
    folder = find(Path(folder))
    values = read_json(folder / "config.json")
    require("model" in values, f"{folder / 'config.json'} lacks the field 'model'; is it a checkpoint of minigpt?")
    config = GPTConfig.from_dict(values["model"], str(folder / "config.json"))
    missing = [name for name in values.get("replaced", []) if name not in factories]
    require(
        not missing,
        f"{folder} was saved with a component of its own; give it again: load(folder, "
        f"{', '.join(f'{name}=…' for name in missing)}).",
    )
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    require(
        tokenizer.vocab_size <= config.vocab_size,
        f"{folder / 'tokenizer.json'} has {tokenizer.vocab_size} tokens but the model only {config.vocab_size}; "
        "these files do not belong together.",
    )
    model = GPT(config, **factories)
    read_weights(model, folder / "model.safetensors")
    return Checkpoint(model.eval(), tokenizer)


def read_weights(model: GPT, path: Path) -> None:
    """Read a model's weights from a safetensors file.

    Raises:
        UserError: the file is missing, truncated or damaged, or holds the weights of another architecture.
    """
    require(path.exists(), f"{path} does not exist; the checkpoint is incomplete.")
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
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        raise UserError(f"{path} is truncated or damaged; go back to an earlier checkpoint.") from None


def find(folder: Path) -> Path:
    """Return the checkpoint that a folder holds: itself, or the `best` one of a training run.

    Raises:
        UserError: there is no checkpoint there.
    """
    for candidate in (whole(folder), whole(folder / "best"), whole(folder / "last")):
        if (candidate / "config.json").exists():
            return candidate
    raise UserError(
        f"{folder} holds no checkpoint (no config.json); check the path, or train one with `minigpt train --out {folder}`."
    )
