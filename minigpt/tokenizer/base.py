"""What every tokenizer offers, and how a checkpoint knows which kind it holds."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from minigpt.utils.errors import UserError, error_prefix
from minigpt.utils.files import atomic_write_text, read_json

TOKENIZERS: dict[str, "type[Tokenizer]"] = {}  # every class that names a kind, by that name


class Tokenizer(ABC):
    """Text to token ids and back: the base of the package's tokenizers, and of one's own.

    A class of one's own names its `kind`, has a `vocab_size`, and says how it encodes a text and which bytes a token
    stands for; the rest follows. If it has to remember anything, it also says what `to_dict` and `from_dict` are.
    Checkpoints then hold it like any other; they are read where the class has been defined.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" in vars(cls):
            TOKENIZERS[cls.kind] = cls

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """The number of different token ids."""

    @property
    def special_tokens(self) -> dict[str, int]:
        """The id of each token that stands for no text, such as the border between two documents."""
        return {}

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""

    @abstractmethod
    def token_bytes(self, id: int) -> bytes:
        """Return the bytes that a token stands for in UTF-8."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids; bytes that are no UTF-8, such as half a character, become �."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def describe_tokens(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield a line for each of these tokens that can be read."""
        return (f"{id:>6}  {render_token(self.token_bytes(id))}" for id in ids)

    def to_dict(self) -> dict[str, Any]:
        """Return what `tokenizer.json` holds."""
        return {"kind": self.kind}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a tokenizer from what `tokenizer.json` holds."""
        return cls()

    def save(self, path: Path | str) -> None:
        """Write the tokenizer to a JSON file, in one step."""
        atomic_write_text(Path(path), json.dumps(self.to_dict(), indent=2) + "\n")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocab_size} tokens)"


def render_token(token: bytes) -> str:
    """Write a token so that everything in it can be seen: as text where it is one, otherwise as bytes."""
    try:
        return repr(token.decode("utf-8"))
    except UnicodeDecodeError:
        return "bytes " + token.hex(" ")


def load_tokenizer(path: Path | str) -> Tokenizer:
    """Read a tokenizer back from its JSON file.

    Raises:
        UserError: the file is missing, is not JSON, or does not hold a tokenizer that this package knows.
    """
    values = read_json(Path(path))
    kind: Any = values.get("kind")
    if not isinstance(kind, str) or kind not in TOKENIZERS:
        raise UserError(
            f"{path} holds a tokenizer of kind {kind!r}, and known are {', '.join(map(repr, sorted(TOKENIZERS)))}; "
            "if it is one of your own, define its class first."
        )
    with error_prefix(path):
        return TOKENIZERS[kind].from_dict(values)
