"""A model on disk: a folder of `config.json`, `model.safetensors`, `tokenizer.json` and, for resuming, `trainer.pt`.

Their checksums stand in `SHA256SUMS`, so that a damaged checkpoint is an error and never a silently wrong model.
"""

import errno
import json
import re
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_file
from torch import nn

from minigpt.checkpoint.shipped import SHIPPED_MODELS, locate_shipped
from minigpt.config import GPTConfig
from minigpt.model.gpt import GPT, Factory
from minigpt.model.structure import check_structure, in_memory_of_their_own, unwrap_model, wrapper_of
from minigpt.tokenizer.base import Tokenizer, load_tokenizer
from minigpt.utils.errors import UserError, error_prefix, file_errors
from minigpt.utils.files import CHECKSUM_FILE as CHECKSUMS
from minigpt.utils.files import (
    atomic_directory,
    backup_path,
    fsync_path,
    last_complete,
    read_consistently,
    read_json,
    verify_checksum,
    write_checksums,
)


class Checkpoint(NamedTuple):
    """A model and the tokenizer it was trained with."""

    model: GPT
    tokenizer: Tokenizer


def save(
    folder: Path | str, model: nn.Module, tokenizer: Tokenizer, trainer_state: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint folder in one step: after a crash or on a full disk the earlier one is intact.

    Of a model inside `torch.compile` or DistributedDataParallel, the model itself is written.

    Raises:
        UserError: the folder cannot be written, or holds something else than a checkpoint; `load` would refuse the
            model, since a layer was exchanged after it was built, or the tokenizer has more tokens than it.
    """
    folder, model = Path(folder), unwrap_model(model)
    check_structure(model)
    check_vocabulary(tokenizer, model.config, "The tokenizer")
    if folder.exists() and not (folder / "config.json").exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not a checkpoint, and saving would replace it; choose another name.")
    with atomic_directory(folder) as new:
        values = {"model": model.config.to_dict(), "custom_components": model.custom_components}
        (new / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        tokenizer.save(new / "tokenizer.json")
        _write_weights(model, new / "model.safetensors")
        shutil.copymode(new / "config.json", new / "model.safetensors")  # which safetensors keeps private
        if trainer_state is not None:
            _write_trainer_state(trainer_state, new / "trainer.pt")
        with ThreadPoolExecutor(1) as beside:
            flushed = beside.submit(
                fsync_path, new / "model.safetensors"
            )  # the disk works while checksums are computed
            write_checksums(new)
            flushed.result()


def _write_weights(model: GPT, path: Path) -> None:
    """Write a model's weights, a tied matrix once; like any other failed write, a full disk is an `OSError`."""
    weights: dict[str, torch.Tensor] = {}
    tied: dict[str, str] = {}  # the name of a parameter that is left out: the name that it is written by
    first: dict[int, str] = {}
    for name, value in sorted(model.state_dict(keep_vars=True).items()):
        kept = first.setdefault(id(value), name)
        if kept == name:
            weights[name] = value
        else:
            tied[name] = kept
    try:
        save_file(in_memory_of_their_own(weights), str(path), tied or None)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error)) from None


def _write_trainer_state(state: dict[str, Any], path: Path) -> None:
    """Write what `torch.save` can write; like any other failed write, a full disk is an `OSError`."""
    try:
        torch.save(state, path)
    except RuntimeError as error:
        raise OSError(errno.EIO, f"{path.name} could not be written whole") from error


def load(folder: Path | str, **factories: Factory) -> Checkpoint:
    """Read a checkpoint, ready to generate; a training run's folder stands for its best checkpoint.

    The name of a shipped model, such as `tiny`, stands for its folder, unless there is a path of that name.

    A component that was replaced when the model was built has to be given again: `load(folder, norm=MyNorm)`.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others.
    """
    folder = locate_shipped(folder)
    places = [folder, folder / "best", folder / "last"]
    watched = [either for place in places for either in (place, backup_path(place.resolve()))]
    return read_consistently(
        lambda: find_checkpoint(folder), lambda found: _read_checkpoint(found, **factories), watched
    )


def _read_checkpoint(folder: Path, **factories: Factory) -> Checkpoint:
    """Read the files of a checkpoint, one by one; `load` sees to it that they belong together."""
    values = read_json(folder / "config.json")
    refuse_hf_layout(folder, values)
    verify_checksum(folder / "config.json")
    if not isinstance(values.get("custom_components"), list):
        raise UserError(f"{folder / 'config.json'} lacks the list 'custom_components'; is it a checkpoint of minigpt?")
    config = GPTConfig.from_dict(values.get("model"), str(folder / "config.json"))
    if not any((folder / name).exists() for name in ("model.safetensors", CHECKSUMS)):
        raise UserError(
            f"{folder} holds a configuration but no weights; see the README.md there, or train the model yourself."
        )
    missing = [name for name in values["custom_components"] if name not in factories]
    if missing:
        raise UserError(
            f"{folder} was saved with a component of its own; give it again: load(folder, "
            f"{', '.join(f'{name}=…' for name in missing)})."
        )
    verify_checksum(folder / "tokenizer.json")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    check_vocabulary(tokenizer, config, str(folder / "tokenizer.json"))
    with error_prefix(folder / "config.json"):
        model = GPT(config, **factories)
    read_weights(model, folder / "model.safetensors")
    return Checkpoint(model.eval(), tokenizer)


def refuse_hf_layout(place: Path | str, values: dict[str, Any]) -> None:
    """Raise `UserError` if the values of a config.json are those of a model in Hugging Face's layout."""
    kind = values.get("model_type")
    if kind is not None:
        raise UserError(
            f"{place} holds a model of type {kind!r}, in Hugging Face's own layout; make a checkpoint of it with "
            f"`minigpt import hf {shlex.quote(str(place))} --out FOLDER`."
        )


def check_vocabulary(tokenizer: Tokenizer, config: GPTConfig, source: str) -> None:
    """Raise `UserError` if the tokenizer, which `source` names, has tokens that the model does not know."""
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"{source} has {tokenizer.vocab_size} tokens but the model only {config.vocab_size}; these do not belong "
            "together."
        )


def read_weights(model: GPT, path: Path) -> None:
    """Read a model's weights from a safetensors file.

    Raises:
        UserError: the file is missing, truncated or damaged, or holds the weights of another architecture.
    """
    verify_checksum(path)
    try:
        load_model(model, str(path))
    except SafetensorError as error:
        raise UserError(f"{path} is truncated or damaged ({error}); copy or save the checkpoint again.") from None
    except RuntimeError:
        with safe_open(str(path), "pt") as file:
            wrapper = wrapper_of(list(file.keys()))
        raise UserError(
            f"{path} holds the weights of another architecture than its config.json describes"
            f"{f' ({wrapper})' if wrapper else ''}."
        ) from None


def read_trainer_state(folder: Path | str) -> dict[str, Any]:
    """Read what a training run needs to go on, without running any code from the file.

    Raises:
        UserError: the checkpoint has no such file, or it is damaged.
    """
    path = find_checkpoint(Path(folder)) / "trainer.pt"
    if not path.exists():
        raise UserError(f"{path} does not exist; this checkpoint can generate, but not go on training.")
    verify_checksum(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # there is little that a damaged file cannot raise here
        raise UserError(f"{path} is truncated or damaged; go back to an earlier checkpoint.") from None


def find_checkpoint(folder: Path | str) -> Path:
    """Return the folder of the checkpoint that a path stands for.

    That is the path itself, what a pointer such as `runs/mine/last` names, or what `best` or `last` names in the folder
    of a training run; where there is no such path, it is the shipped model of that name.

    Raises:
        UserError: there is no checkpoint there.
    """
    folder = locate_shipped(folder)
    if folder.is_file():
        return _follow(folder)
    if (last_complete(folder) / "config.json").exists():
        return last_complete(folder)
    for pointer in (folder / "best", folder / "last"):
        if pointer.exists():  # if `best` is damaged, `last` is no substitute
            return _follow(pointer) if pointer.is_file() else last_complete(pointer)
    shipped = "" if folder.exists() else f", or name a model that comes with minigpt ({', '.join(SHIPPED_MODELS)})"
    raise UserError(
        f"{folder} holds no checkpoint (no config.json); check the path, or train with "
        f"`minigpt train --out {shlex.quote(str(folder))}`{shipped}."
    )


def _follow(pointer: Path) -> Path:
    """Return the folder beside a pointer that it names."""
    with file_errors(pointer):
        name = pointer.read_text(encoding="utf-8", errors="replace").strip()
    if not re.fullmatch(r"step-[0-9]+(-[0-9]+)?", name):
        raise UserError(
            f"{pointer} does not name a checkpoint beside it, such as step-000250; write such a name in it."
        )
    if not (pointer.parent / name).is_dir():
        raise UserError(f"{pointer} names {name}, which does not exist; write the name of a checkpoint beside it.")
    return pointer.parent / name
