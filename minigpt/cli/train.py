"""`minigpt train`."""

import os
import shlex
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer

from minigpt.checkpoint.run_log import RunFolder, read_run
from minigpt.cli.options import (
    CorpusName,
    Given,
    PresetName,
    ShardsFolder,
    TextFile,
    TrainingData,
    add_options,
    chosen_architecture,
    echo_once,
    flag,
    forbid_beside_preset,
    open_training_data,
    unescape,
)
from minigpt.cli.tokenizer import BuiltinTokenizer, TokenizerName, open_tokenizer
from minigpt.config import GPTConfig, TrainConfig, model_preset, training_preset
from minigpt.model.gpt import GPT, count_parameters
from minigpt.training.distributed import process_group
from minigpt.training.progress import progress_bar, tensorboard
from minigpt.training.trainer import Trainer
from minigpt.utils.errors import UserError
from minigpt.utils.machine import resolve_device
from minigpt.utils.signals import graceful_shutdown

# What a resumed run may do otherwise than before; everything else would make another run of it.
_CHANGEABLE = (
    "max_steps",
    "learning_rate",
    "min_learning_rate",
    "target_loss",
    "patience",
    "grad_accum_steps",
    "precision",
    "compile",
)


class Placement(NamedTuple):
    """Where a run takes place: the device of each process, and whether the processes share the model out."""

    device: torch.device
    fsdp: bool


def _training_device(name: str | None) -> torch.device:
    """Return the device of this name, and make a numbered GPU the one that this process computes on.

    Raises:
        UserError: there is no such device, or a number stands where `torchrun` gives each process a GPU of its own.
    """
    device = resolve_device(name)
    if device.index is not None:
        if "LOCAL_RANK" in os.environ:
            raise UserError(f"torchrun gives each process a GPU of its own; write --device cuda, not {name}.")
        torch.cuda.set_device(device)
    return device


def _new_trainer(
    out: Path,
    preset_name: str | None,
    sizes: Given,
    changes: Given,
    material: TrainingData,
    place: Placement,
) -> Trainer:
    """Build a model for a text, and the trainer that brings them together."""
    echo_once(material.description)
    settings = TrainConfig(**changes) if preset_name is None else training_preset(preset_name, **changes)
    asked = changes.get("sample_prompt")
    prompt = material.prompt(settings.sample_prompt) if asked is None else unescape(asked)
    settings = settings.replace(sample_prompt=prompt)
    architecture = chosen_architecture(preset_name, sizes | {"vocab_size": material.tokenizer.vocab_size})
    torch.manual_seed(settings.seed)
    model = GPT(architecture)
    note: dict[str, Any] = {"corpus": {"name": material.name, "sha256": material.sha256}}
    if preset_name is not None:
        note |= {"preset": preset_name}
        expected = model_preset(preset_name).vocab_size
        if expected != architecture.vocab_size:
            echo_once(f"The model's vocabulary is the text's, not the {expected:,} of the preset.")
    tokenizer = material.tokenizer
    return Trainer(model, material.data, settings, tokenizer=tokenizer, folder=out, metadata=note, **place._asdict())


def _resumed_trainer(
    out: Path, preset_name: str | None, changes: Given, opened: Callable[..., TrainingData], place: Placement
) -> Trainer:
    """Return the trainer of a run that was interrupted, after checking that the text and the preset are the same."""
    fixed = ", ".join(flag(name) for name in changes if name not in _CHANGEABLE)
    if fixed:
        raise UserError(f"--resume keeps the settings of the run in {out}; leave out {fixed}.")
    folder = RunFolder(out)
    folder.check_resumable()
    header = read_run(folder.log).header
    if preset_name not in (None, header.get("preset")):
        raise UserError(f"The run in {out} was not begun with the preset {preset_name}; leave out --preset.")
    (_, tokenizer), _ = folder.read_last()
    data = opened(tokenizer, header.get("corpus")).data
    return Trainer.resume(out, data, changes=changes, **place._asdict())


DEFAULT_PRESET = "tiny_char"


@add_options("sizes", GPTConfig, without=["vocab_size"])
@add_options("changes", TrainConfig)
def train(
    *,
    out: Annotated[Path, typer.Option(help="The folder for the log and the checkpoints of this run.")],
    preset_name: PresetName = None,
    sizes: Given,
    changes: Given,
    corpus: CorpusName = None,
    text: TextFile = None,
    shards: ShardsFolder = None,
    tokenizer: TokenizerName = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; left out, the fastest.")] = None,
    fsdp: Annotated[
        bool, typer.Option("--fsdp", help="Under torchrun, give each process a share of the model only.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    write_tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the numbers for TensorBoard, too.")
    ] = False,
) -> None:
    """Train a model on a corpus, on your own text, or on shards that were prepared before.

    The model is a preset (tiny_char if none is named), a .json file of your own, or its sizes one by one. An option
    of training left out is as the preset recommends. Ctrl-C, or a polite kill, ends the run after the step in hand and
    saves it.

    Examples: minigpt train --preset small_char --text my.txt --out runs/mine
    torchrun --nproc-per-node 2 -m minigpt train --preset small_char --out runs/on-two
    """
    opened = partial(open_training_data, corpus, text, shards=shards)
    named = {"--corpus": corpus, "--text": text, "--shards": shards, "--device": device}
    again = [word for option, value in named.items() if value is not None for word in (option, value)]
    again += ["--fsdp"] if fsdp else []
    again += ["--tensorboard"] if write_tensorboard else []
    resume_with = _resume_command("train", "--resume", "--out", out, *again)
    with process_group():
        place = Placement(_training_device(device), fsdp)
        if resume:
            if tokenizer is not None:
                raise UserError(f"--resume keeps the tokenizer of the run in {out}; leave out --tokenizer.")
            trainer = _resumed_trainer(out, preset_name, sizes | changes, opened, place)
        else:
            preset_name = preset_name or (None if sizes else DEFAULT_PRESET)
            if preset_name is not None:
                forbid_beside_preset(preset_name, sizes)  # before a corpus is opened, which may take a while
            chosen = None if tokenizer in (None, BuiltinTokenizer.char) else open_tokenizer(tokenizer)
            trainer = _new_trainer(out, preset_name, sizes, changes, opened(chosen), place)
        echo_once(f"{count_parameters(trainer.model):,} parameters on {trainer.device_summary}, into {out}")
        _run_with_progress(trainer, out, resume_with, write_tensorboard)


def _run_with_progress(trainer: Trainer, out: Path, resume_with: str, write_tensorboard: bool) -> None:
    """Run the training with a progress bar; when a signal asks to end, finish the step, save, and say how to go on."""
    records = trainer.run()
    if trainer.is_main_process:
        records = progress_bar(records, trainer.config.max_steps, start=trainer.step)
        records = tensorboard(records, out / "tensorboard") if write_tensorboard else records
    with graceful_shutdown() as received:
        for record in records:
            if trainer.parallel.any_rank(received() is not None) and not trainer.finished:
                if trainer.step > trainer.saved_step:
                    trainer.save()
                echo_once(f"Stopped after step {record.step:,} and saved; go on with: {resume_with}")
                raise typer.Exit(128 + (received() or signal.SIGTERM))
    echo_once(f"The run is complete at step {trainer.step:,}, since {trainer.finished}.")
    echo_once(f"Best validation loss {trainer.best_loss:.4f} nats per token.")
    echo_once(f'Let it write: {command("generate", "--checkpoint", out, "--prompt")} "…"')
    echo_once(f"Train it further: {resume_with} {_extend_options(trainer)}")


def _extend_options(trainer: Trainer) -> str:
    """Return the options that move the end of a complete run: one for each limit that it has reached."""
    options = {
        "max_steps": f"--max-steps {2 * trainer.config.max_steps}",
        "target_loss": f"--target-loss {0.9 * trainer.best_loss:.2g}",
        "patience": f"--patience {2 * trainer.evals_since_best}",
    }
    return " ".join(option for limit, option in options.items() if limit in trainer.stop_reasons)


def command(*words: object) -> str:
    """Return a command that can be pasted into a shell, whatever its paths hold."""
    return shlex.join(["minigpt", *map(str, words)])


def _resume_command(*words: object) -> str:
    """Return such a command, begun by `torchrun` if this process was."""
    if "LOCAL_WORLD_SIZE" not in os.environ:
        return command(*words)
    torchrun = ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"], "-m"]
    return f"{shlex.join(torchrun)} {command(*words)}"
