"""A model for a web page: one file of numbers, and a manifest that says which stand where.

The playground of the book reads them. All numbers have their lowest byte first, and every tensor begins at a multiple
of four bytes.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.data.batches import TokenSequence
from minigpt.evaluation.evaluate import evaluate
from minigpt.model.gpt import GPT, count_parameters
from minigpt.model.quantization import fake_quantize, quantize_weights
from minigpt.model.structure import check_structure, unwrap_model
from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.char import CharTokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.files import atomic_directory, sha256_file

WEB_FORMAT = 2  # counted up when the files change, so that a page tells an older export from its own


WEB_MANIFEST, WEB_WEIGHTS = "manifest.json", "weights.bin"


_POSITIONS = ("none", "learned", "rope")  # that the page computes, as it does all norms and MLPs


_TYPES = {torch.int8: "int8", torch.float16: "float16", torch.float32: "float32"}


_ALIGNMENT = 4  # bytes


def export_web(
    model: nn.Module,
    tokenizer: Tokenizer,
    folder: Path | str,
    precision: str = "int8",
    validation: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model into a new folder that a page can fetch, and return the manifest; `validation` goes along.

    Raises:
        UserError: the page cannot compute the model, or the folder exists or cannot be written.
    """
    folder, model = Path(folder), unwrap_model(model)
    check_structure(model)
    check_exportable(model, tokenizer)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another name.")
    stored = quantize_weights(model, precision)
    with atomic_directory(folder) as new:
        tensors = {}
        with (new / WEB_WEIGHTS).open("wb") as file:
            for name, (values, scales) in stored.items():
                place = {
                    "shape": list(values.shape),
                    "type": _TYPES[values.dtype],
                    "offset": _write_tensor(file, values),
                }
                tensors[name] = place if scales is None else place | {"scales": _write_tensor(file, scales)}
        manifest = {
            "format": WEB_FORMAT,
            "precision": precision,
            "parameters": count_parameters(model),
            "config": _config_dict(model),
            "tokenizer": tokenizer.to_dict(),
            "validation": validation,
            "weights": {
                "file": WEB_WEIGHTS,
                "bytes": (new / WEB_WEIGHTS).stat().st_size,
                "sha256": sha256_file(new / WEB_WEIGHTS),
            },
            "tensors": tensors,
        }
        (new / WEB_MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _write_tensor(file, tensor: Tensor) -> int:
    """Write a tensor's numbers to the end of a file, filled up to a multiple of four bytes; return where they begin."""
    array = tensor.contiguous().numpy()
    numbers = array.astype(array.dtype.newbyteorder("<")).tobytes()
    start = file.tell()
    file.write(numbers.ljust(-(-len(numbers) // _ALIGNMENT) * _ALIGNMENT, b"\0"))
    return start


def _config_dict(model: GPT) -> dict[str, Any]:
    """Return the configuration, with the sizes that follow from others written out."""
    config = model.config
    followed = {"n_kv_head": config.num_kv_heads, "mlp_dim": config.hidden_dim, "head_dim": config.head_dim}
    return config.to_dict() | followed


def check_exportable(model: GPT, tokenizer: Tokenizer) -> None:
    """Raise `UserError` unless the page can compute the model."""
    if model.custom_components:
        raise UserError(
            f"The model was built with its own {', '.join(model.custom_components)}, which the page does not know; "
            "build it from "
            "the names in its configuration alone."
        )
    if not isinstance(tokenizer, CharTokenizer):
        raise UserError(
            f"The model reads subwords (a tokenizer of kind {tokenizer.kind!r}), but the page reads "
            "characters; export a "
            "model that was trained on characters."
        )
    if model.config.position not in _POSITIONS:
        raise UserError(
            f"The model has position = {model.config.position!r}, but the page computes {', '.join(_POSITIONS)} only; "
            "export a model with one of these."
        )


def quantization_loss(
    model: GPT, precision: str, ids: TokenSequence, text: str, max_windows: int | None = None
) -> dict[str, Any]:
    """Return the loss on some ids with the weights as they are and as they are stored, in nats per token.

    `text` names what the ids are. With `max_windows`, only so many windows, spread evenly over the text, are used.

    Raises:
        UserError: there is no such precision, or there are fewer than two ids.
    """
    size = model.config.block_size
    exact, stored = (
        evaluate(each, ids, size, max_windows=max_windows) for each in (model, fake_quantize(model, precision))
    )
    return {"text": text, "tokens": exact.n_tokens, "loss": exact.loss, "rounded_loss": stored.loss}
