"""GPT-2 in Hugging Face's layout: how its configuration and its tensors translate to ours and back.

The parts have other names there, and the matrices of a block lie transposed: (in, out), where PyTorch's linear
layers hold (out, in).
"""

import errno
import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from minigpt.config import GPTConfig
from minigpt.model.gpt import GPT, meta_model
from minigpt.model.structure import check_structure, in_memory_of_their_own, unwrap_model, wrapper_of
from minigpt.utils.errors import UserError, error_prefix
from minigpt.utils.files import atomic_directory, is_plain_name, read_json

CONFIG_FIELDS = {  # our name: theirs
    "vocab_size": "vocab_size",
    "block_size": "n_positions",
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
}


SUPPORTED = {  # what their configuration may say; the first value holds where it says nothing
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}


REQUIRED = {"position": "learned", "norm": "layernorm", "mlp": "gelu", "lm_head_bias": False, "qk_norm": False}


BLOCK_NAMES = {  # part of a block, ours: theirs
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}


OUTER_NAMES = {"token_embedding": "wte", "position.table": "wpe", "final_norm": "ln_f"}


def hf_name(name: str) -> str:
    """Return what Hugging Face calls a parameter of ours: `blocks.3.mlp.up.weight` is `h.3.mlp.c_fc.weight`."""
    part, _, kind = name.rpartition(".")
    if part == "lm_head":
        return f"lm_head.{kind}"
    if part in OUTER_NAMES:
        return f"{OUTER_NAMES[part]}.{kind}"
    _, number, part = part.split(".", 2)
    return f"h.{number}.{BLOCK_NAMES[part]}.{kind}"


def is_conv1d_weight(name: str) -> bool:
    """Return whether a parameter of ours is a matrix that Hugging Face stores the other way round."""
    return name.startswith("blocks.") and name.endswith(("qkv.weight", "out.weight", "up.weight", "down.weight"))


def config_from_hf(path: Path) -> GPTConfig:
    """Return the architecture that a `config.json` of Hugging Face's describes.

    Raises:
        UserError: it describes something else than a GPT-2, or a variant that would give other logits here.
    """
    values = read_json(path)
    kind = values.get("model_type")
    remedy = (
        "read a checkpoint of minigpt with checkpoint.load"
        if "custom_components" in values
        else "only GPT-2 is read here"
    )
    if kind != "gpt2":
        raise UserError(f"{path} has model_type {kind!r} where 'gpt2' should be; {remedy}.")
    for field, understood in SUPPORTED.items():
        if values.get(field, understood[0]) not in understood:
            raise UserError(
                f"{path} says {field} = {values.get(field)!r}, but minigpt computes with {understood[0]!r} "
                "and would give "
                "other logits; use transformers for this model."
            )
    missing = [theirs for theirs in CONFIG_FIELDS.values() if theirs not in values]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}; copy the folder again.")
    with error_prefix(path):
        return GPTConfig(
            **{name: values[theirs] for name, theirs in CONFIG_FIELDS.items()},
            mlp_dim=values.get("n_inner"),
            dropout=values.get("resid_pdrop", 0.1),
            tie_weights=values.get("tie_word_embeddings", True),
        )


def config_to_hf(config: GPTConfig, end_of_text: int | None) -> dict[str, Any]:
    """Return what Hugging Face's `config.json` says of a GPT-2 of this shape."""
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        **{theirs: getattr(config, name) for name, theirs in CONFIG_FIELDS.items()},
        **{field: understood[0] for field, understood in SUPPORTED.items()},
        "n_inner": config.hidden_dim,
        "tie_word_embeddings": config.tie_weights,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "dtype": "float32",
    }


def from_hf(tensors: dict[str, Tensor], model: GPT, described_by: str = "config.json") -> dict[str, Tensor]:
    """Return their tensors by our names, in float32 and turned as our layers hold them.

    `described_by` is what error messages call the place that the model's shape was read from.

    Raises:
        UserError: a tensor is missing, left over, or of another shape than the model's.
    """
    wanted = {hf_name(name): name for name, _ in model.named_parameters()}
    tied_head = {"lm_head.weight"} if model.config.tie_weights else set()
    for problem, names in (("lacks", wanted.keys() - tensors), ("has besides", tensors.keys() - wanted - tied_head)):
        if names:
            wrapper = wrapper_of(list(tensors))
            raise UserError(
                f"the file {problem} {len(names)} tensors, such as {min(names, default='')}, so it is not the "
                f"GPT-2 that {described_by} describes; {wrapper or 'copy both files again'}."
            )
    if not all(torch.equal(tensors[head], tensors["wte.weight"]) for head in tied_head & tensors.keys()):
        raise UserError(
            f"lm_head.weight differs from wte.weight, though {described_by} ties them; set tie_word_embeddings "
            "to false there."
        )
    found = {}
    for theirs, name in wanted.items():
        tensor = tensors[theirs].T if is_conv1d_weight(name) else tensors[theirs]
        shape = tuple(model.get_parameter(name).shape)
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise UserError(
                f"{theirs} is {tuple(tensors[theirs].shape)} of {tensor.dtype}, which does not fit "
                f"{described_by}; copy both files again."
            )
        found[name] = tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    return found


def to_hf(model: GPT) -> dict[str, Tensor]:
    """Return a model's tensors by their names, turned as Hugging Face holds them; a tied head is left out.

    Nothing is filled in but the biases that a model without biases lacks.
    """
    every = meta_model(model.config.replace(bias=True))
    held = dict(model.named_parameters())
    tensors = {}
    for name, blank in every.named_parameters():
        absent = not model.config.bias and name.endswith(".bias")
        tensor = torch.zeros(blank.shape) if absent else held[name].detach().float().cpu()
        outer = "" if name.startswith("lm_head") else "transformer."
        tensors[outer + hf_name(name)] = (tensor.T if is_conv1d_weight(name) else tensor).contiguous()
    return tensors


def _check_gpt2(model: GPT) -> None:
    """Raise `UserError` unless GPT-2's layout can hold the model."""
    if model.custom_components:
        raise UserError(
            f"The model was built with its own {', '.join(model.custom_components)}, which GPT-2's layout cannot hold; "
            "build it from the names in its configuration alone."
        )
    for field, needed in REQUIRED.items():
        if getattr(model.config, field) != needed:
            raise UserError(
                f"The model has {field} = {getattr(model.config, field)!r}, but GPT-2's layout can hold only "
                f"{needed!r}; "
                "train one with that, or use the checkpoint as it is."
            )
    if model.config.num_kv_heads != model.config.n_head:
        raise UserError(
            f"The model has n_kv_head = {model.config.n_kv_head}, but in GPT-2's layout each of the "
            f"{model.config.n_head} "
            "heads has keys and values of its own; use the checkpoint as it is."
        )


CONFIG, WEIGHTS = "config.json", "model.safetensors"


PYTORCH_WEIGHTS = "pytorch_model.bin"


SAFETENSORS_FILES = (WEIGHTS, "model.safetensors.index.json", "model-*.safetensors")


PYTORCH_FILES = (PYTORCH_WEIGHTS, "pytorch_model.bin.index.json", "pytorch_model-*.bin")


_ELSEWHERE = "load the folder with transformers and write it with save_pretrained(…, max_shard_size='100GB')"


_MASKS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")  # constants that older files carry along


def load_hf_gpt2(folder: Path | str) -> GPT:
    """Read a GPT-2 from a folder in Hugging Face's layout, in float32 and ready to generate.

    The weights are one file of safetensors or several with an index or, where there are none, PyTorch's, of which
    nothing but tensors is read.

    The tokenizer is another matter: use the one that the model was trained with. Dropout becomes their
    `resid_pdrop`; their `attn_pdrop` has no counterpart here.

    Raises:
        UserError: a file is missing or damaged, it is another kind of model, or the tensors are not those of the model.
    """
    folder = Path(folder)
    config = config_from_hf(folder / CONFIG)
    model = meta_model(config)  # no memory yet: the numbers come from the file
    path = _weights_file(folder)
    with error_prefix(path):
        return filled(model, from_hf(_read_hf_weights(path), model))


def filled(model: GPT, weights: dict[str, Tensor]) -> GPT:
    """Return a model without memory of its own with these weights, ready to generate."""
    model.load_state_dict(weights, assign=True, strict=False)  # a tied head is not among them
    if model.config.tie_weights:
        model.lm_head.weight = model.token_embedding.weight
    return model.eval()


def _weights_file(folder: Path) -> Path:
    """Return the file of weights in a folder, or the index of several."""
    forms = (WEIGHTS, f"{WEIGHTS}.index.json", PYTORCH_WEIGHTS, f"{PYTORCH_WEIGHTS}.index.json")
    return next((folder / name for name in forms if (folder / name).is_file()), folder / WEIGHTS)


def _read_hf_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of weights, or of the files that an index names, by their names.

    Raises:
        UserError: a file is missing or damaged, or a tensor is not where the index says.
    """
    if path.suffix != ".json":
        return _read_hf_tensors(path)
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not all(map(is_plain_name, places.values())):
        raise UserError("it names no files of this folder under weight_map; copy the folder again.")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        with error_prefix(f"its part {name}"):
            tensors |= _read_hf_tensors(path.parent / name, {each for each in places if places[each] == name})
    return tensors


def _read_hf_tensors(path: Path, listed: set[str] | None = None) -> dict[str, Tensor]:
    """Return the tensors of a file by their names, without the prefix and the masks that some files have.

    Where an index has `listed` what is to be read from the file, whatever else it holds is left out.

    Raises:
        UserError: the file is missing or damaged.
    """
    if not path.is_file():
        others = any(path.parent.glob("*model*"))
        raise UserError(f"the file does not exist; {_ELSEWHERE if others else 'copy the folder again'}.")
    if path.suffix == ".bin":
        tensors = _read_pytorch(path)
    else:
        try:
            with safe_open(str(path), "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise UserError(f"the file is truncated or damaged ({error}); copy it again.") from None
    chosen = tensors if listed is None else {name: tensors[name] for name in listed & tensors.keys()}
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in chosen.items()}
    return {name: tensor for name, tensor in tensors.items() if not _MASKS.fullmatch(name)}


def _read_pytorch(path: Path) -> dict[str, Tensor]:
    """Return the tensors that PyTorch has written, running no code from the file."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # there is little that a damaged file cannot raise here
        values = None
    if not isinstance(values, dict) or not all(isinstance(each, Tensor) for each in values.values()):
        raise UserError(
            f"the file is truncated or damaged, or holds more than tensors; copy it again, or {_ELSEWHERE}."
        )
    return values


def export_hf_gpt2(model: nn.Module, folder: Path | str, end_of_text: int | None = None) -> None:
    """Write a GPT into a new folder that `transformers` reads as `GPT2LMHeadModel`, with equal logits.

    A model without biases gets biases of zero. `end_of_text` is the id at which their generation stops.

    Raises:
        UserError: the model is none that GPT-2's layout can hold, a layer was exchanged after it was built, or the
            folder exists or cannot be written.
    """
    folder, model = Path(folder), unwrap_model(model)
    check_structure(model)
    _check_gpt2(model)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already; choose another name.")
    with atomic_directory(folder) as new:
        (new / CONFIG).write_text(
            json.dumps(config_to_hf(model.config, end_of_text), indent=2) + "\n", encoding="utf-8"
        )
        try:
            save_file(in_memory_of_their_own(to_hf(model)), str(new / WEIGHTS), metadata={"format": "pt"})
        except SafetensorError as error:  # such as a full disk
            raise OSError(errno.EIO, str(error)) from None
        shutil.copymode(new / CONFIG, new / WEIGHTS)  # which safetensors keeps private
