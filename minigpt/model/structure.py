"""Whether a model is what its configuration builds, which is what every reader of a saved model will build."""

import re
from typing import Any, cast

import torch
from torch import nn

from minigpt.model.gpt import GPT, meta_model
from minigpt.utils.errors import UserError

WRAPPERS = {  # what a wrapper puts before the names of a model's parameters, and who does
    "_orig_mod.": "torch.compile",
    "module.": "DistributedDataParallel or DataParallel",
    "base_model.model.": "PEFT's adapters",
}
COMPONENT_NAMES = {  # the modules that each factory of `GPT` builds
    "norm": r"blocks\.\d+\.(attention_norm|mlp_norm)|final_norm",
    "attention": r"blocks\.\d+\.attention",
    "mlp": r"blocks\.\d+\.mlp",
    "position": r"position",
}
SAVED_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_IN_TRAINING_ONLY = ("training", "p", "inplace", "activation_checkpointing")  # attributes that no logit depends on
_REMEDY = "give a part of your own to GPT(config, …) when you build the model, and merge adapters before you save"


def unwrap_model(model: nn.Module) -> GPT:
    """Return the model inside `torch.compile`, DistributedDataParallel and DataParallel.

    A model of the reader's own, which has a `config` but is not a `GPT`, is returned as it is: it can be trained, and
    `check_structure` refuses to save it.
    """
    while is_compiled(model) or isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
        model = cast(nn.Module, model._orig_mod if is_compiled(model) else model.module)
    return cast(GPT, model)


def is_compiled(model: nn.Module) -> bool:
    """Return whether `torch.compile` has wrapped a model; to import its class only to ask would take a second."""
    return hasattr(model, "_orig_mod")


def check_structure(model: GPT) -> None:
    """Raise `UserError` unless the model's layers and parameters are those that its configuration builds.

    Parts that the model was built with by factories are left out: who loads it gives them again.
    """
    if not isinstance(model, GPT):
        raise UserError(f"{type(model).__name__} is not a GPT of minigpt; pass the model that GPT(config) returned.")
    own = "|".join(f"({COMPONENT_NAMES[name]})" for name in model.custom_components)
    expected = meta_model(model.config)
    modules, planned = _modules(model, own), _modules(expected, own)
    _check_types(modules, planned)
    _check_parameters(_state(model, own), _state(expected, own))
    _check_numbers(modules, planned)
    _check_forward(model)
    if (model.lm_head.weight is model.token_embedding.weight) != model.config.tie_weights:
        tied = "not tied" if model.config.tie_weights else "tied"
        raise UserError(
            f"The head and the token embedding are {tied}, but the configuration says tie_weights = "
            f"{model.config.tie_weights}; build the model with the other setting."
        )


def _modules(model: GPT, own: str) -> dict[str, nn.Module]:
    """Return the modules by name, without those inside parts of the reader's own."""
    return {name: module for name, module in model.named_modules() if not (own and re.match(own, name))}


def _state(model: GPT, own: str) -> dict[str, Any]:
    """Return the parameters and buffers that are saved, by name, without those of parts of the reader's own."""
    return {name: v for name, v in model.state_dict(keep_vars=True).items() if not (own and re.match(own, name))}


def _check_forward(model: GPT) -> None:
    """Raise `UserError` if the forward pass of the model or of a layer was replaced."""
    patched = [name for name, module in model.named_modules() if "forward" in vars(module)]
    overridden = any(getattr(type(model), name) is not getattr(GPT, name) for name in ("forward", "hidden_states"))
    if patched or overridden:
        where = f"The forward pass of {patched[0] or 'the model'}" if patched else f"{type(model).__name__}.forward"
        raise UserError(f"{where} is not the one that minigpt computes with when it reads the model; {_REMEDY}.")


def _check_types(found: dict[str, nn.Module], expected: dict[str, nn.Module]) -> None:
    """Raise `UserError` at the first layer that is of another type."""
    for name in sorted(found.keys() | expected.keys()):
        is_type, should_be = (type(each[name]).__name__ if name in each else "nothing" for each in (found, expected))
        same = is_type == should_be or (name == "" and isinstance(found[name], GPT))
        if not same:
            raise UserError(f"{name} is {is_type}, but the model's configuration builds {should_be}; {_REMEDY}.")


def _check_numbers(found: dict[str, nn.Module], expected: dict[str, nn.Module]) -> None:
    """Raise `UserError` at the first layer that computes with another number, such as an epsilon."""
    for name in found:
        numbers, planned = (_numbers(each[name]) for each in (found, expected))
        if numbers != planned:
            field = min(key for key in numbers | planned if numbers.get(key) != planned.get(key))
            raise UserError(
                f"{name}.{field} is {numbers.get(field)}, but the model's configuration builds it with "
                f"{planned.get(field)}; {_REMEDY}."
            )


def _numbers(module: nn.Module) -> dict[str, Any]:
    """Return the numbers that a layer computes with."""
    values = {name: value for name, value in vars(module).items() if isinstance(value, (int, float, str))}
    return {name: value for name, value in values.items() if name[0] != "_" and name not in _IN_TRAINING_ONLY}


def _check_parameters(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise `UserError` at the first parameter that is missing, left over, of another shape, or no plain numbers."""
    for name in sorted(found.keys() | expected.keys()):
        if name not in found or name not in expected:
            which = "lacks" if name not in found else "has besides"
            raise UserError(f"The model {which} the parameter {name} that its configuration names; {_REMEDY}.")
        value, shape = found[name], tuple(expected[name].shape)
        if hasattr(value, "full_tensor"):  # a DTensor, of FSDP
            raise UserError(f"{name} is shared out over several processes; let the Trainer save the model.")
        if value.is_meta:
            raise UserError(f"{name} has no numbers (it is on the device meta); load weights before you save.")
        if tuple(value.shape) != shape:
            raise UserError(
                f"{name} is {tuple(value.shape)}, but the model's configuration makes it {shape}; build a model with "
                "the new size and copy the weights over."
            )
        if value.dtype not in SAVED_DTYPES:
            raise UserError(f"{name} is of type {value.dtype}, which is not saved; call model.float() before.")


def in_memory_of_their_own(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors without gradients, of which no two lie in the same memory, which safetensors cannot write.

    Parameters lie so after `torch.nn.utils.vector_to_parameters`, or where one was given the `data` of another.
    """
    found, taken = {}, set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.detach().clone() if place in taken else tensor.detach()
        taken.add(place)
    return {name: tensor.contiguous() for name, tensor in found.items()}


def wrapper_of(names: list[str]) -> str | None:
    """Return whose prefix all of these names of parameters begin with, as the end of a sentence; None if nobody's."""
    for prefix, wrapper in WRAPPERS.items():
        if names and all(name.startswith(prefix) for name in names):
            return f"its names begin with {prefix!r}, which {wrapper} puts there; save the model inside it"
    return None
