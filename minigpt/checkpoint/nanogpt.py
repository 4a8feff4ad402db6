"""A checkpoint of nanoGPT's (Karpathy, 2022): how its `ckpt.pt` translates to ours.

The names of its tensors are those of Hugging Face's GPT-2, with the matrices of a block the other way round. Its GELU
is the exact one, and ours the approximation by tanh that GPT-2 was trained with, so that logits differ by a little.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minigpt.checkpoint.gpt2 import filled, from_hf, hf_name, is_conv1d_weight
from minigpt.config import GPTConfig
from minigpt.model.gpt import GPT, meta_model
from minigpt.utils.errors import UserError, error_prefix, file_errors

NANOGPT_CHECKPOINT = "ckpt.pt"


_SIZES = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")


_WRAPPERS = ("_orig_mod.", "module.", "transformer.")  # of torch.compile, of DDP, and its own


def load_nanogpt(path: Path | str) -> GPT:
    """Read the model of nanoGPT's `ckpt.pt`, in float32 and ready to generate; no code from the file is run.

    The tokenizer is another matter: GPT-2's, or the characters in the `meta.pkl` of the data set.

    Raises:
        UserError: the file is missing or damaged, or holds something else than a checkpoint of nanoGPT's.
    """
    path = Path(path)
    values = _read_nanogpt(path)
    sizes = values["model_args"]
    with error_prefix(path):
        missing = [name for name in _SIZES if name not in sizes]
        if missing:
            raise UserError(f"its model_args lack {', '.join(missing)}; is it a checkpoint of nanoGPT's?")
        config = GPTConfig(
            **{name: sizes[name] for name in _SIZES},
            bias=sizes.get("bias", True),
            dropout=float(sizes.get("dropout") or 0.0),
            tie_weights=True,
        )
        model = meta_model(config)
        return filled(model, from_hf(_as_in_hf(values["model"], model), model, "model_args"))


def _read_nanogpt(path: Path) -> dict[str, Any]:
    """Return what a `ckpt.pt` holds, without running any code from it.

    Raises:
        UserError: the file is missing or damaged, or holds something else.
    """
    with file_errors(path), path.open("rb"):
        pass
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # there is little that a damaged file cannot raise here
        raise UserError(
            f"{path} is truncated or damaged, or holds more than tensors, numbers and texts; copy it again."
        ) from None
    parts = [values.get(name) if isinstance(values, dict) else None for name in ("model", "model_args")]
    if not all(isinstance(part, dict) for part in parts) or not all(isinstance(t, Tensor) for t in parts[0].values()):  # type: ignore[union-attr]
        raise UserError(
            f"{path} has no tensors under 'model' and no sizes under 'model_args'; is it nanoGPT's ckpt.pt?"
        )
    return values


def _as_in_hf(tensors: dict[str, Tensor], model: GPT) -> dict[str, Tensor]:
    """Return nanoGPT's tensors by Hugging Face's names, turned as they are there, without the masks."""
    found = {}
    for name, tensor in tensors.items():
        for wrapper in _WRAPPERS:
            name = name.removeprefix(wrapper)
        if not name.endswith((".attn.bias", ".attn.masked_bias")):
            found[name] = tensor
    turned = {hf_name(name) for name, _ in model.named_parameters() if is_conv1d_weight(name)}
    return {name: tensor.T if name in turned and tensor.ndim == 2 else tensor for name, tensor in found.items()}
