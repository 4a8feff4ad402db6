"""`minigpt presets`, `minigpt params` and `minigpt plan`: the sizes and the costs of models before they are trained."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from minigpt import checkpoint
from minigpt.cli.options import CHECKPOINT_HELP, Given, PresetName, add_options, chosen_architecture, console
from minigpt.config import GPTConfig, TrainConfig, load_preset, model_preset, preset_names, training_preset
from minigpt.model.gpt import meta_model
from minigpt.model.hooks import parameter_table
from minigpt.planning.counting import (
    CONVENTIONS,
    fill_in,
    num_parameters,
    parameter_breakdown,
    symbols,
    training_flops,
)
from minigpt.planning.devices import Device, find_device
from minigpt.planning.planner import (
    CHINCHILLA_TOKENS_PER_PARAMETER,
    Plan,
    fitting_presets,
    largest_batch,
    usable_memory,
)
from minigpt.planning.planner import plan as make_plan
from minigpt.training.throughput import measure_training_flops
from minigpt.utils.errors import UserError
from minigpt.utils.machine import DTYPES
from minigpt.utils.units import format_bytes, format_duration


def presets(
    name: Annotated[str | None, typer.Argument(help="Show one preset in full: a name, or a .json file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the preset as a file to change.")] = False,
) -> None:
    """List the named architectures with their sizes, or show one in full.

    Example: minigpt presets tiny_char --json > my.json
    """
    if name is None and as_json:
        raise UserError("Name the preset to print, as in `minigpt presets tiny_char --json`.")
    if name is None:
        _list_presets()
    elif as_json:
        typer.echo(load_preset(name).to_json())
    else:
        _show_preset(name)


def _list_presets() -> None:
    """Print a table of all presets, the smallest first."""
    titles = ("layers", "heads", "width", "context", "vocab", "head", "parameters")
    table = Table(Column("preset", no_wrap=True), *(Column(title, justify="right", no_wrap=True) for title in titles))
    table.box, table.padding = SIMPLE_HEAD, (0, 1, 0, 0)
    for name, config in sorted(
        ((name, model_preset(name)) for name in preset_names()), key=lambda row: num_parameters(row[1])
    ):
        sizes = (config.n_layer, config.n_head, config.n_embd, config.block_size, config.vocab_size)
        head = "tied" if config.tie_weights else "own"
        table.add_row(name, *(f"{size:,}" for size in sizes), head, f"{num_parameters(config):,}")
    console.print(table)


def _show_preset(name: str) -> None:
    """Print a preset's description, its architecture and the training it recommends."""
    shown = load_preset(name)
    typer.echo(f"{name}: {shown.description}" if shown.description else name)
    table = Table("field", "value", show_header=False)
    for field, value in (shown.model.to_dict() | {"mlp_dim": shown.model.hidden_dim}).items():
        table.add_row(field, str(value))
    table.add_section()
    for field, value in shown.training.to_dict().items():
        table.add_row(field, repr(value))
    console.print(table)
    typer.echo(f"{num_parameters(shown.model):,} parameters")


_SYMBOL_NAMES = {
    "V": "vocabulary",
    "T": "context",
    "L": "layers",
    "C": "width",
    "F": "width inside the MLP",
    "D": "width of a head",
    "K": "width of all keys",
}


@add_options("sizes", GPTConfig)
def params(
    *,
    preset_name: PresetName = None,
    checkpoint_folder: Annotated[Path | None, typer.Option("--checkpoint", help=CHECKPOINT_HELP)] = None,
    sizes: Given,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for the sizes one by one.")] = False,
    formula: Annotated[bool, typer.Option("--formula", help="Show the formula of each part.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List every single parameter with its shape.")] = False,
) -> None:
    """Count the parameters of a model, part by part.

    Beside a preset, --vocab-size is the only size that may stand.

    Examples: minigpt params --preset tiny-shakespeare --formula
    minigpt params --n-layer 4 --n-head 4 --n-embd 128 --block-size 128 --vocab-size 65
    """
    ways = {"--preset": preset_name, "--checkpoint": checkpoint_folder, "--interactive": interactive or None}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} each name a model to count; keep one of them.")
    if every and formula:
        raise UserError("--all and --formula are two views; choose one of them.")
    if sizes and given and preset_name is None:
        raise UserError(f"{given[0]} already says which model is meant; leave the sizes out.")
    if checkpoint_folder is not None:
        config = checkpoint.load(checkpoint_folder).model.config
    else:
        config = _ask() if interactive else chosen_architecture(preset_name, sizes)
    if every:
        _show_every_parameter(config)
    else:
        _show_parts(config, formula)


def _ask() -> GPTConfig:
    """Ask for the sizes of a model, each with a small model's as a proposal."""
    sizes = {"vocab_size": 65, "block_size": 256, "n_layer": 4, "n_head": 4, "n_embd": 128}
    answers = {name: typer.prompt(name, default=size, type=int) for name, size in sizes.items()}
    answers["mlp_dim"] = typer.prompt("mlp_dim", default=4 * answers["n_embd"], type=int)
    answers["bias"] = typer.confirm("bias", default=True)
    answers["tie_weights"] = typer.confirm("tie_weights", default=False)
    return GPTConfig(**answers)


def _show_parts(config: GPTConfig, formula: bool) -> None:
    """Print the parts of a model with their sizes and shares, or with their formulas."""
    total = num_parameters(config)
    number = Column("parameters", justify="right")
    titles = ("formula", "with numbers", number) if formula else (number, Column("share", justify="right"))
    table = Table("part", *titles)
    for part in parameter_breakdown(config):
        if formula:
            table.add_row(part.name, part.formula, fill_in(part.formula, config), f"{part.count:,}")
        else:
            table.add_row(part.name, f"{part.count:,}", f"{part.count / total:.1%}")
    table.add_section()
    table.add_row(*(("in all", "", "", f"{total:,}") if formula else ("in all", f"{total:,}", "")))
    if formula:
        formulas = "".join(part.formula for part in parameter_breakdown(config))
        used = {symbol: size for symbol, size in symbols(config).items() if symbol in formulas}
        typer.echo(", ".join(f"{symbol} = {size:,} ({_SYMBOL_NAMES[symbol]})" for symbol, size in used.items()))
    console.print(table)


def _show_every_parameter(config: GPTConfig) -> None:
    """Print every parameter of a model with its shape and its size."""
    table = Table("parameter", "shape", Column("numbers", justify="right"))
    for name, shape, size in parameter_table(meta_model(config)):
        table.add_row(name, " x ".join(map(str, shape)), f"{size:,}")
    table.add_section()
    table.add_row("in all", "", f"{num_parameters(config):,}")
    console.print(table)


@add_options("sizes", GPTConfig)
@add_options("changes", TrainConfig, only=["max_steps", "batch_size", "grad_accum_steps"])
def plan(
    *,
    preset_name: PresetName = None,
    sizes: Given,
    changes: Given,
    device: Annotated[str, typer.Option(help="A device by name, or this one; a wrong name lists them.")] = "this",
    tokens: Annotated[int | None, typer.Option(help="How many tokens to train on, instead of --max-steps.")] = None,
    flops_per_second: Annotated[
        float | None, typer.Option("--flops", help="Operations per second; 40 % of the device's best if unset.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Take some training steps here to find the speed.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help=f"The precision of the matrix products: {', '.join(DTYPES)}.")
    ] = "float32",
    fit: Annotated[bool, typer.Option("--fit", help="Find the largest batch, or all presets that fit.")] = False,
) -> None:
    """Say what a training run takes: memory, operations, time; and whether it fits a device.

    Examples: minigpt plan --preset small --device t4
    minigpt plan --fit --device t4
    """
    if "max_steps" in changes and tokens is not None:
        raise UserError("Say how long to train with --max-steps or with --tokens, and not with both.")
    if measure and flops_per_second is not None:
        raise UserError("--measure finds the speed that --flops states; leave one out.")
    if fit and changes.keys() & {"batch_size", "grad_accum_steps"}:
        raise UserError("--fit finds the batch; leave --batch-size and --grad-accum-steps out.")
    if measure and device != "this":
        raise UserError(f"--measure measures this device; leave out --device {device}.")
    if fit and preset_name is None and not sizes:
        _show_fitting(find_device(device))
        return
    config = chosen_architecture(preset_name, sizes)
    settings = training_preset(preset_name) if preset_name else TrainConfig()
    found = find_device(device)
    if fit:
        changes |= {"batch_size": largest_batch(config, found), "grad_accum_steps": 1}
        if changes["batch_size"] <= 0:
            raise UserError(f"Not even one context of this model fits {found.name}; choose a smaller model.")
    settings = settings.replace(**changes)
    if measure:
        found.peak_flops(precision)  # an unknown precision shows now, not after the measurement
        flops_per_second = measure_training_flops(config, settings.batch_size, precision=precision)
    _show_plan(
        make_plan(
            config,
            found,
            batch_size=settings.batch_size,
            grad_accum_steps=settings.grad_accum_steps,
            tokens=settings.max_steps * settings.batch_size * config.block_size if tokens is None else tokens,
            flops_per_second=flops_per_second,
            precision=precision,
        )
    )


def _show_plan(plan: Plan) -> None:
    """Print a plan: memory for training and for generation, operations and time."""
    config, training, generation = plan.config, plan.training, plan.generation
    parameters = num_parameters(config)
    table = Table("", "", show_header=False, box=None)
    rows = {
        "model": f"{parameters:,} parameters",
        "device": f"{plan.device.name}: {format_bytes(plan.device.memory)}, "
        f"at best {plan.device.peak_flops(plan.precision):.3g} operations/s",
        "training": f"{plan.batch_size} contexts of {config.block_size} tokens a step, in {plan.precision}"
        f"{'' if plan.precision == 'float32' else ' (the memory is reckoned in float32)'}",
        "  weights": format_bytes(training.weights),
        "  AdamW": format_bytes(training.optimizer),
        "  gradients": format_bytes(training.gradients),
        "  activations": format_bytes(training.activations),
        "  logits and work": format_bytes(training.workspace),
        "  peak": f"{format_bytes(training.peak)} {verdict(plan)}",
        "generation": f"{format_bytes(generation.peak)}, of which weights {format_bytes(generation.weights)}",
        "tokens": f"{plan.tokens:,} in {plan.steps:,} steps: {plan.tokens / parameters:.3g} a parameter "
        f"({CHINCHILLA_TOKENS_PER_PARAMETER} are often advised)",
        "operations": f"{plan.operations:.3g}",
        "  a token": ", ".join(f"{training_flops(config, name):.3g} ({name})" for name in CONVENTIONS),
        "time": f"{format_duration(plan.seconds)} at {plan.flops_per_second:.3g} operations/s, "
        f"{plan.mfu:.0%} of the best",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)


def verdict(plan: Plan) -> str:
    """Return whether a plan fits its device, and what would."""
    limit = f"of the {format_bytes(usable_memory(plan.device))} that a plan may use"
    if plan.fits:
        return f"{limit}: it fits"
    largest = largest_batch(plan.config, plan.device)
    if largest == 0:
        return f"{limit}: it does not fit, not even with a single context"
    return f"{limit}: it does not fit; the largest batch that does is {largest}"


def _show_fitting(device: Device) -> None:
    """Print the presets that can be trained on a device, with the largest batch of each."""
    rows = fitting_presets(device)
    if len(rows) <= 0:
        raise UserError(f"No preset fits {device.name}; write a smaller one of your own.")
    typer.echo(
        f"{device.name}: {format_bytes(usable_memory(device))} for a plan; what can be trained there in float32:"
    )
    table = Table("preset", "parameters", "context", "largest batch")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, batch in rows:
        config = model_preset(name)
        table.add_row(name, f"{num_parameters(config):,}", f"{config.block_size:,}", f"{batch:,}")
    console.print(table)
    typer.echo(f"The largest is {rows[0][0]}, with batches of up to {rows[0][1]:,}.")
