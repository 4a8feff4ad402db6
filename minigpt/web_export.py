"""A model for a web page: one file of numbers, and a manifest that says which stand where.

The playground of the book reads them. All numbers have their lowest byte first, and every tensor begins at a multiple
of four bytes.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minigpt.checksums import checksum
from minigpt.config import require
from minigpt.data import Ids
from minigpt.evaluation import evaluate
from minigpt.files import replacing
from minigpt.model import GPT, count_parameters
from minigpt.quantisation import rounded, store
from minigpt.tokenizers import CharTokenizer, Tokenizer

FORMAT = 1  # counted up when the files change, so that a page tells an older export from its own
MANIFEST, WEIGHTS = "manifest.json", "weights.bin"
POSITIONS = ("none", "learned", "rope")  # that the page computes, as it does all norms and MLPs
TYPES = {torch.int8: "int8", torch.float16: "float16", torch.float32: "float32"}
ALIGNED = 4  # bytes


def export_web(
    model: GPT,
    tokenizer: Tokenizer,
    folder: Path | str,
    precision: str = "int8",
    validation: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model into a new folder that a page can fetch, and return the manifest; `validation` goes along.

    Raises:
        UserError: the page cannot compute the model, or the folder exists or cannot be written.
    """
    folder = Path(folder)
    require_readable(model, tokenizer)
    require(
        not folder.exists() or (folder.is_dir() and not any(folder.iterdir())),
        f"{folder} exists already; choose another name.",
    )
    stored = store(model, precision)
    with replacing(folder) as new:
        tensors = {}
        with (new / WEIGHTS).open("wb") as file:
            for name, (numbers, steps) in stored.items():
                place = {"shape": list(numbers.shape), "type": TYPES[numbers.dtype], "offset": append(file, numbers)}
                tensors[name] = place if steps is None else place | {"steps": append(file, steps)}
        manifest = {
            "format": FORMAT,
            "precision": precision,
            "parameters": count_parameters(model),
            "config": describe(model),
            "tokenizer": tokenizer.to_dict(),
            "validation": validation,
            "weights": {
                "file": WEIGHTS,
                "bytes": (new / WEIGHTS).stat().st_size,
                "sha256": checksum(new / WEIGHTS),
            },
            "tensors": tensors,
        }
        (new / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def append(file, tensor: Tensor) -> int:
    """Write a tensor's numbers to the end of a file, filled up to a multiple of four bytes; return where they begin."""
    array = tensor.contiguous().numpy()
    numbers = array.astype(array.dtype.newbyteorder("<")).tobytes()
    start = file.tell()
    file.write(numbers.ljust(-(-len(numbers) // ALIGNED) * ALIGNED, b"\0"))
    return start


def describe(model: GPT) -> dict[str, Any]:
    """Return the configuration, with the sizes that follow from others written out."""
    config = model.config
    followed = {"n_kv_head": config.kv_heads, "mlp_hidden": config.hidden, "head_size": config.head_size}
    return config.to_dict() | followed


def require_readable(model: GPT, tokenizer: Tokenizer) -> None:
    """Raise `UserError` unless the page can compute the model."""
    require(
        not model.replaced,
        f"The model was built with its own {', '.join(model.replaced)}, which the page does not know; build it from "
        "the names in its configuration alone.",
    )
    require(
        isinstance(tokenizer, CharTokenizer),
        f"The model reads subwords (a tokenizer of kind {tokenizer.kind!r}), but the page reads characters; export a "
        "model that was trained on characters.",
    )
    require(
        model.config.position in POSITIONS,
        f"The model has position = {model.config.position!r}, but the page computes {', '.join(POSITIONS)} only; "
        "export a model with one of these.",
    )


def measure_rounding(model: GPT, precision: str, ids: Ids, text: str, max_windows: int | None = None) -> dict[str, Any]:
    """Return the loss on some ids with the weights as they are and as they are stored, in nats per token.

    `text` names what the ids are. With `max_windows`, only so many windows, spread evenly over the text, are used.

    Raises:
        UserError: there is no such precision, or there are fewer than two ids.
    """
    size = model.config.block_size
    exact, stored = (evaluate(each, ids, size, max_windows=max_windows) for each in (model, rounded(model, precision)))
    return {"text": text, "tokens": exact.n_tokens, "loss": exact.loss, "rounded_loss": stored.loss}
