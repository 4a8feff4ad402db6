"""The options that say which model is meant: a preset, or its sizes one by one, but never both."""

from typing import Annotated, Any

import typer

from minigpt.config import GPTConfig, require
from minigpt.presets import is_file, preset

PresetName = Annotated[
    str | None, typer.Option("--preset", help="A preset by name (`minigpt presets` lists them), or a .json file.")
]
Layers = Annotated[int | None, typer.Option("--n-layer", help="Blocks, one after the other.")]
Heads = Annotated[int | None, typer.Option("--n-head", help="Attention heads in each block.")]
Width = Annotated[int | None, typer.Option("--n-embd", help="Channels of the residual stream.")]
Context = Annotated[int | None, typer.Option("--block-size", help="The most tokens the model sees at once.")]
Hidden = Annotated[int | None, typer.Option("--mlp-hidden", help="Width inside the MLP; four times --n-embd if unset.")]
Biases = Annotated[bool | None, typer.Option("--bias/--no-bias", help="Whether the layers have biases.")]
HeadBias = Annotated[bool | None, typer.Option("--head-bias/--no-head-bias", help="Whether the head has a bias.")]
TiedWeights = Annotated[
    bool | None, typer.Option("--tie-weights/--no-tie-weights", help="Whether the head is the token embedding.")
]

REQUIRED = ("n_layer", "n_head", "n_embd", "block_size")


def flag(field: str) -> str:
    """Return a field as it is written on the command line."""
    return f"--{field.replace('_', '-')}"


def chosen_architecture(preset_name: str | None, vocab_size: int | None, **fields: Any) -> GPTConfig:
    """Return the model that the options describe; a field left at None was not given.

    The vocabulary belongs to the text and its tokenizer, so `vocab_size` may stand beside a preset.

    Raises:
        UserError: a field stands beside a preset, or there is no preset and a size is missing.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if vocab_size is not None:
        given["vocab_size"] = vocab_size
    if preset_name is not None:
        forbid_beside_preset(preset_name, fields)
        return preset(preset_name, **given)
    missing = [flag(name) for name in (*REQUIRED, "vocab_size") if name not in given]
    require(not missing, f"Name a model with --preset, or give all of its sizes; {', '.join(missing)} is missing.")
    return GPTConfig(**given)


def forbid_beside_preset(preset_name: str, fields: dict[str, Any]) -> None:
    """Raise `UserError` if a field of the architecture was given beside a preset: it must not be silently ignored."""
    given = [name for name, value in fields.items() if value is not None]
    flags = ", ".join(flag(name) for name in given)
    own = f"write `minigpt presets {preset_name} --json > my.json`, edit {', '.join(given)} there, and use my.json"
    remedy = f"edit {', '.join(given)} in that file" if is_file(preset_name) else own
    require(
        not given,
        f"A preset fixes the architecture, so {flags} cannot stand beside --preset {preset_name}; "
        f"to change it on purpose, {remedy}.",
    )
