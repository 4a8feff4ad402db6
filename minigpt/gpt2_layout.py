"""GPT-2 in Hugging Face's layout: how its configuration and its tensors translate to ours and back.

The parts have other names there, and the matrices of a block lie transposed: (in, out), where PyTorch's linear
layers hold (out, in).
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minigpt.config import GPTConfig, read_json, require
from minigpt.errors import named
from minigpt.model import GPT, blueprint

SIZES = {  # our name: theirs
    "vocab_size": "vocab_size",
    "block_size": "n_positions",
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
}
UNDERSTOOD = {  # what their configuration may say; the first value holds where it says nothing
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
GPT2S = {"position": "learned", "norm": "layernorm", "mlp": "gelu", "head_bias": False, "qk_norm": False}
NAMES = {  # part of a block, ours: theirs
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}
AROUND = {"token": "wte", "position.table": "wpe", "norm": "ln_f"}


def their_name(name: str) -> str:
    """Return what Hugging Face calls a parameter of ours: `blocks.3.mlp.up.weight` is `h.3.mlp.c_fc.weight`."""
    part, _, kind = name.rpartition(".")
    if part == "head":
        return f"lm_head.{kind}"
    if part in AROUND:
        return f"{AROUND[part]}.{kind}"
    _, number, part = part.split(".", 2)
    return f"h.{number}.{NAMES[part]}.{kind}"


def lies_transposed(name: str) -> bool:
    """Return whether a parameter of ours is a matrix that Hugging Face stores the other way round."""
    return name.startswith("blocks.") and name.endswith(("qkv.weight", "out.weight", "up.weight", "down.weight"))


def our_config(path: Path) -> GPTConfig:
    """Return the architecture that a `config.json` of Hugging Face's describes.

    Raises:
        UserError: it describes something else than a GPT-2, or a variant that would give other logits here.
    """
    values = read_json(path)
    kind = values.get("model_type")
    remedy = "read a checkpoint of minigpt with checkpoint.load" if "replaced" in values else "only GPT-2 is read here"
    require(kind == "gpt2", f"{path} has model_type {kind!r} where 'gpt2' should be; {remedy}.")
    for field, understood in UNDERSTOOD.items():
        require(
            values.get(field, understood[0]) in understood,
            f"{path} says {field} = {values.get(field)!r}, but minigpt computes with {understood[0]!r} and would give "
            "other logits; use transformers for this model.",
        )
    missing = [theirs for theirs in SIZES.values() if theirs not in values]
    require(not missing, f"{path} lacks {', '.join(missing)}; copy the folder again.")
    with named(path):
        return GPTConfig(
            **{name: values[theirs] for name, theirs in SIZES.items()},
            mlp_hidden=values.get("n_inner"),
            dropout=values.get("resid_pdrop", 0.1),
            tie_weights=values.get("tie_word_embeddings", True),
        )


def their_config(config: GPTConfig, end_of_text: int | None) -> dict[str, Any]:
    """Return what Hugging Face's `config.json` says of a GPT-2 of this shape."""
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        **{theirs: getattr(config, name) for name, theirs in SIZES.items()},
        **{field: understood[0] for field, understood in UNDERSTOOD.items()},
        "n_inner": config.hidden,
        "tie_word_embeddings": config.tie_weights,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "dtype": "float32",
    }


def to_our_layout(tensors: dict[str, Tensor], model: GPT) -> dict[str, Tensor]:
    """Return their tensors by our names, in float32 and turned as our layers hold them.

    Raises:
        UserError: a tensor is missing, left over, or of another shape than the model's.
    """
    wanted = {their_name(name): name for name, _ in model.named_parameters()}
    tied_head = {"lm_head.weight"} if model.config.tie_weights else set()
    for problem, names in (("lacks", wanted.keys() - tensors), ("has besides", tensors.keys() - wanted - tied_head)):
        require(
            not names,
            f"the file {problem} {len(names)} tensors, such as {min(names, default='')}, so it is not the GPT-2 that "
            "config.json describes; copy both files again.",
        )
    require(
        all(torch.equal(tensors[head], tensors["wte.weight"]) for head in tied_head & tensors.keys()),
        "lm_head.weight differs from wte.weight, though config.json ties them; set tie_word_embeddings to false there.",
    )
    found = {}
    for theirs, name in wanted.items():
        tensor = tensors[theirs].T if lies_transposed(name) else tensors[theirs]
        shape = tuple(model.get_parameter(name).shape)
        require(
            tuple(tensor.shape) == shape and tensor.is_floating_point(),
            f"{theirs} is {tuple(tensors[theirs].shape)} of {tensor.dtype}, which does not fit config.json; copy both "
            "files again.",
        )
        found[name] = tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    return found


def to_their_layout(model: GPT) -> dict[str, Tensor]:
    """Return a model's tensors by their names, turned as Hugging Face holds them; a tied head is left out."""
    every = blueprint(model.config.replace(bias=True))
    held = dict(model.named_parameters())
    tensors = {}
    for name, blank in every.named_parameters():
        tensor = held[name].detach().float().cpu() if name in held else torch.zeros(blank.shape)
        outer = "" if name.startswith("head") else "transformer."
        tensors[outer + their_name(name)] = (tensor.T if lies_transposed(name) else tensor).contiguous()
    return tensors


def require_gpt2(model: GPT) -> None:
    """Raise `UserError` unless GPT-2's layout can hold the model."""
    require(
        not model.replaced,
        f"The model was built with its own {', '.join(model.replaced)}, which GPT-2's layout cannot hold; build it "
        "from the names in its configuration alone.",
    )
    for field, needed in GPT2S.items():
        require(
            getattr(model.config, field) == needed,
            f"The model has {field} = {getattr(model.config, field)!r}, but GPT-2's layout can hold only {needed!r}; "
            "train one with that, or use the checkpoint as it is.",
        )
    require(
        model.config.kv_heads == model.config.n_head,
        f"The model has n_kv_head = {model.config.n_kv_head}, but in GPT-2's layout each of the {model.config.n_head} "
        "heads has keys and values of its own; use the checkpoint as it is.",
    )
