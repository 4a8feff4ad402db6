"""A model for a web page: one file of numbers, and a manifest that says which stand where.

The playground of the book reads them, and so does the page that can be written beside them. All numbers have their
lowest byte first, and every tensor begins at a multiple of four bytes.
"""

import html
import json
import re
import shutil
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
from minigpt.utils.machine import asset_path

WEB_FORMAT = 2  # counted up when the files change, so that a page tells an older export from its own


WEB_MANIFEST, WEB_WEIGHTS = "manifest.json", "weights.bin"


WEB_PAGE = "index.html"


PLAYGROUND = "book/playground"  # its scripts compute the model, and its panel shows it


_OPENINGS = ("ROMEO:\n", "The ", "\n")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font-family: system-ui, sans-serif;
  color: #24292b; background: #fffefb; }}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{panel}</main>
</body>
</html>
"""


_POSITIONS = ("none", "learned", "rope")  # that the page computes, as it does all norms and MLPs


_TYPES = {torch.int8: "int8", torch.float16: "float16", torch.float32: "float32"}


_ALIGNMENT = 4  # bytes


def export_web(
    model: nn.Module,
    tokenizer: Tokenizer,
    folder: Path | str,
    precision: str = "int8",
    validation: dict[str, Any] | None = None,
    *,
    page: bool = False,
) -> dict[str, Any]:
    """Write a model into a new folder that a page can fetch, and return the manifest; `validation` goes along.

    With `page`, the folder holds the page, too: the book's playground with this model alone, which asks for nothing
    from elsewhere.

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
        if page:
            _write_page(new, folder.resolve().name, tokenizer)
    return manifest


def _write_page(folder: Path, title: str, tokenizer: Tokenizer) -> None:
    """Write the playground beside a model's files: its panel as a page of its own, and what that fetches."""
    source = asset_path(PLAYGROUND)
    shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("*.html", "*.json"))
    changes = {
        'data-models="[^"]*"': 'data-models=".."',
        r'<fieldset class="models">.*?</fieldset>': '<input type="hidden" name="model" value=".">',
        "<code>make serve</code>": "<code>python -m http.server</code> in its folder",
        r"(?<=autocomplete=\"off\">).*?(?=</textarea>)": "\n" + html.escape(_opening(tokenizer)),
    }
    panel = (source / "panel.html").read_text("utf-8")
    for pattern, text in changes.items():
        panel = re.sub(pattern, text.replace("\\", r"\\"), panel, count=1, flags=re.DOTALL)
    (folder / WEB_PAGE).write_text(_PAGE.format(title=html.escape(title), panel=panel), encoding="utf-8")


def _opening(tokenizer: Tokenizer) -> str:
    """Return a prompt that a tokenizer can read."""
    for text in _OPENINGS:
        try:
            tokenizer.encode(text)
        except UserError:
            continue
        return text
    return tokenizer.decode([0])


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
