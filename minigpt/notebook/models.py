"""The shipped models as a page shows them: what stands in their folders and in the records of their training."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from minigpt.checkpoint.hub import last_sample, model_facts, recorded_bits_per_character
from minigpt.checkpoint.run_log import RunLog, read_run
from minigpt.config import GPTConfig
from minigpt.planning.counting import num_parameters
from minigpt.tokenizer.base import load_tokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.machine import asset_path


@dataclass(frozen=True)
class ShippedModel:
    """A folder of `checkpoints/`; as the last value of a cell it is shown as a card."""

    folder: Path

    @property
    def name(self) -> str:
        """The name by which `asset_path("checkpoints/NAME")` finds it."""
        return self.folder.name

    @cached_property
    def config(self) -> GPTConfig:
        """Its configuration."""
        return GPTConfig.from_dict(json.loads((self.folder / "config.json").read_text("utf-8"))["model"])

    @cached_property
    def text(self) -> str:
        """The README of its folder."""
        return (self.folder / "README.md").read_text("utf-8")

    @cached_property
    def run(self) -> RunLog | None:
        """The record of its training, or None where it has not been trained."""
        named = re.search(r"`(results/[\w-]+\.jsonl)`", self.text)
        return read_run(asset_path(named[1])) if named and self.trained else None

    @property
    def trained(self) -> bool:
        """Whether the weights are there."""
        return (self.folder / "model.safetensors").exists()

    @property
    def bits_per_character(self) -> float | None:
        """The loss over the whole validation part, in bits per character."""
        return None if self.run is None else recorded_bits_per_character(self.run.header["evaluation"])

    @property
    def facts(self) -> dict[str, str]:
        """What there is to know of it, in the order of a card."""
        tokenizer = load_tokenizer(self.folder / "tokenizer.json")
        found = model_facts(self.config, tokenizer, num_parameters(self.config), self.run)
        return found if self.trained else found | {"weights": "not trained yet"}

    @property
    def sample(self) -> str | None:
        """What it wrote at the end of its training, as the record has it."""
        return last_sample(self.run)

    @property
    def licence(self) -> str | None:
        """What its README says of licences."""
        return next((line for line in self.text.splitlines() if "licence" in line), None)

    def section(self, heading: str) -> str:
        """Return what stands in its README under one heading."""
        found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", self.text, re.MULTILINE | re.DOTALL)
        return found[1].strip() if found else ""

    def _repr_markdown_(self) -> str:
        rows = "\n".join(f"| {fact} | {value} |" for fact, value in self.facts.items())
        parts = [f"| `{self.name}` | |\n| --- | --- |\n{rows}"]
        if self.sample:
            parts.append(f"At the end of its training it wrote:\n\n```text\n{self.sample}\n```")
        return "\n\n".join(filter(None, [*parts, self.licence]))

    def __repr__(self) -> str:
        return "\n".join([self.name, *(f"  {fact}: {value}" for fact, value in self.facts.items())])


def shipped_models() -> list[ShippedModel]:
    """Return all models that came along, the smallest first; the ones without weights last."""
    try:
        place = asset_path("checkpoints")
    except UserError:  # an installation without them
        return []
    folders = [path.parent for path in place.glob("*/config.json")]
    return sorted(map(ShippedModel, folders), key=lambda model: (not model.trained, num_parameters(model.config)))


def shipped_model(name: str) -> ShippedModel:
    """Return one shipped model by the name of its folder.

    Raises:
        UserError: nothing of that name is shipped.
    """
    return ShippedModel(asset_path(f"checkpoints/{name}"))
