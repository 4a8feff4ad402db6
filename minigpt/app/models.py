"""The models that a visitor can choose from: folders that were named at the start, and the shipped ones."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from minigpt import checkpoint
from minigpt.checkpoint.save_load import Checkpoint
from minigpt.checkpoint.shipped import locate_shipped
from minigpt.model.gpt import count_parameters
from minigpt.notebook.models import shipped_models
from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.char import CharTokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.machine import default_device

OPENINGS = ("ROMEO:\n", "\n")


class ModelRegistry:
    """Models by name, each read from its folder when it is first asked for, and then kept.

    A visitor chooses among the names, and never names a folder.

    Raises:
        UserError: one of one's own folders holds no checkpoint that can be read, or there is no model at all.
    """

    def __init__(self, own: Sequence[Path | str] = ()) -> None:
        self.folders: dict[str, Path] = {}
        self.loaded: dict[str, Checkpoint] = {}
        self.lock = Lock()
        for folder in map(locate_shipped, own):
            self.add(folder)
            self.get(self.names[-1])
        for model in shipped_models():
            if model.trained:
                self.add(model.folder)
        if not self.folders:
            raise UserError("No models came with this installation; name one, such as `--checkpoint tiny`.")

    def add(self, folder: Path) -> None:
        """Add a folder under its own name; the same folder is added once."""
        folder = folder.resolve()
        if folder not in self.folders.values():
            others = sum(folder.name == other.name for other in self.folders.values())
            self.folders[f"{folder.name} ({others + 1})" if others else folder.name] = folder

    @property
    def names(self) -> list[str]:
        """What a visitor can choose."""
        return list(self.folders)

    def get(self, name: Any) -> Checkpoint:
        """Return a model and its tokenizer.

        Raises:
            UserError: there is no model of this name.
        """
        known = isinstance(name, str) and name in self.folders
        if not known:
            raise UserError(f"There is no such model here; choose one of {', '.join(self.names)}.")
        with self.lock:
            if name not in self.loaded:
                model, tokenizer = checkpoint.load(self.folders[name])
                self.loaded[name] = Checkpoint(model.to(default_device()), tokenizer)
            return self.loaded[name]

    def facts(self, name: object) -> str:
        """Return a sentence about a model."""
        model, tokenizer = self.get(name)
        kind = "characters" if isinstance(tokenizer, CharTokenizer) else "pieces of words"
        return (
            f"{count_parameters(model):,} parameters in {model.config.n_layer} blocks; it knows "
            f"{tokenizer.vocab_size:,} {kind}, and looks at most {model.config.block_size:,} of them back."
        )

    def default_prompt(self, name: object) -> str:
        """Return a prompt that a model can read."""
        tokenizer = self.get(name).tokenizer
        return next((text for text in OPENINGS if reads(tokenizer, text)), tokenizer.decode([0]))


def reads(tokenizer: Tokenizer, text: str) -> bool:
    """Return whether a tokenizer knows every character of a text."""
    try:
        tokenizer.encode(text)
    except UserError:
        return False
    return True
