"""The shipped models as a page shows them: what stands in their folders and in the records of their training."""

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from minigpt.config import GPTConfig
from minigpt.planning.counting import count
from minigpt.planning.units import size_text, time_text
from minigpt.shipped import shipped
from minigpt.tokenizers import load_tokenizer
from minigpt.training.records import Run, read_run

BYTES_A_WEIGHT = 4  # float32


@dataclass(frozen=True)
class ShippedModel:
    """A folder of `checkpoints/`; as the last value of a cell it is shown as a card."""

    folder: Path

    @property
    def name(self) -> str:
        """The name by which `shipped("checkpoints/NAME")` finds it."""
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
    def run(self) -> Run | None:
        """The record of its training, or None where it has not been trained."""
        named = re.search(r"`(runs/[\w-]+\.jsonl)`", self.text)
        return read_run(shipped(named[1])) if named and self.trained else None

    @property
    def trained(self) -> bool:
        """Whether the weights are there."""
        return (self.folder / "model.safetensors").exists()

    @property
    def bits_per_character(self) -> float | None:
        """The loss over the whole validation part, in bits per character."""
        if self.run is None:
            return None
        found = self.run.header["evaluation"]
        return found["loss"] * found["n_tokens"] / found["n_characters"] / math.log(2)

    @property
    def facts(self) -> dict[str, str]:
        """What there is to know of it, in the order of a card."""
        sizes, tokenizer = self.config, load_tokenizer(self.folder / "tokenizer.json")
        kind = "characters" if type(tokenizer).__name__ == "CharTokenizer" else "subwords"
        parameters = count(sizes)
        facts = {
            "parameters": f"{parameters:,}, {size_text(BYTES_A_WEIGHT * parameters)} in float32",
            "blocks, heads, channels": f"{sizes.n_layer}, {sizes.n_head}, {sizes.n_embd}",
            "vocabulary": f"{sizes.vocab_size:,} {kind}",
            "context": f"{sizes.block_size:,} tokens",
        }
        if self.run is None:
            return facts | {"weights": "not trained yet"}
        header, last = self.run.header, self.run.records[-1]
        machine, found = header["machine"], header["evaluation"]
        seen = header["training"]["batch_size"] * sizes.block_size * last.step
        return facts | {
            "trained on": f"{header['corpus']['name']}, {last.step:,} steps, {seen:,} tokens",
            "training took": f"{time_text(last.seconds)} on {machine['processor']}, {machine['date']}",
            "loss, whole validation part": f"{found['loss']:.4f} nats per token",
            "bits per character": f"{self.bits_per_character:.3f}",
        }

    @property
    def sample(self) -> str | None:
        """What it wrote at the end of its training, as the record has it."""
        samples = [record.sample for record in self.run.records if record.sample] if self.run else []
        return samples[-1].strip("\n") if samples else None

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
    """Return all shipped models, the smallest first; the ones without weights last."""
    folders = [path.parent for path in shipped("checkpoints").glob("*/config.json")]
    return sorted(map(ShippedModel, folders), key=lambda model: (not model.trained, count(model.config)))


def shipped_model(name: str) -> ShippedModel:
    """Return one shipped model by the name of its folder.

    Raises:
        UserError: nothing of that name is shipped.
    """
    return ShippedModel(shipped(f"checkpoints/{name}"))
