"""The trainer of a run that the command begins or takes up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from minigpt.cli.architecture import chosen_architecture, flag
from minigpt.cli.materials import Material
from minigpt.cli.shared import say
from minigpt.config import TrainConfig, require
from minigpt.model import GPT
from minigpt.presets import preset, training_preset
from minigpt.training.records import read_run
from minigpt.training.run_folder import RunFolder
from minigpt.training.trainer import Trainer

# What a resumed run may do otherwise than before; everything else would make another run of it.
CHANGEABLE = (
    "max_steps",
    "learning_rate",
    "min_learning_rate",
    "target_loss",
    "patience",
    "accumulate",
    "precision",
    "compile",
)


class Place(NamedTuple):
    """Where a run takes place: the device of each process, and whether the processes share the model out."""

    device: torch.device
    shard: bool


def new_trainer(
    out: Path,
    preset_name: str | None,
    sizes: dict[str, Any],
    changes: dict[str, Any],
    material: Material,
    place: Place,
) -> Trainer:
    """Build a model for a text, and the trainer that brings them together."""
    say(material.description)
    settings = TrainConfig(**changes) if preset_name is None else training_preset(preset_name, **changes)
    settings = settings.replace(sample_prompt=material.prompt(settings.sample_prompt))
    architecture = chosen_architecture(preset_name, material.tokenizer.vocab_size, **sizes)
    torch.manual_seed(settings.seed)
    model = GPT(architecture)
    note: dict[str, Any] = {"corpus": {"name": material.name, "sha256": material.sha256}}
    if preset_name is not None:
        note |= {"preset": preset_name}
        expected = preset(preset_name).vocab_size
        if expected != architecture.vocab_size:
            say(f"The model's vocabulary is the text's, not the {expected:,} of the preset.")
    tokenizer = material.tokenizer
    return Trainer(model, material.data, settings, tokenizer=tokenizer, folder=out, note=note, **place._asdict())


def resumed_trainer(
    out: Path, preset_name: str | None, changes: dict[str, Any], opened: Callable[..., Material], place: Place
) -> Trainer:
    """Return the trainer of a run that was interrupted, after checking that the text and the preset are the same."""
    fixed = ", ".join(flag(name) for name in changes if name not in CHANGEABLE)
    require(not fixed, f"--resume keeps the settings of the run in {out}; leave out {fixed}.")
    folder = RunFolder(out)
    folder.require_run()
    header = read_run(folder.log).header
    require(
        preset_name in (None, header.get("preset")),
        f"The run in {out} was not begun with the preset {preset_name}; leave out --preset.",
    )
    (_, tokenizer), _ = folder.read_last()
    data = opened(tokenizer, header.get("corpus")).data
    return Trainer.resume(out, data, changes=changes, **place._asdict())
