"""`minigpt plan`."""

from typing import Annotated, Any

import typer
from rich.table import Table

from minigpt.cli.options import (
    PresetName,
    add_options,
    chosen_architecture,
    console,
)
from minigpt.config import GPTConfig, TrainConfig, model_preset, training_preset
from minigpt.planning.counting import CONVENTIONS, num_parameters, training_flops
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


@add_options(sizes=GPTConfig, leave_out=("vocab_size",))
def plan(
    *,
    preset_name: PresetName = None,
    sizes: dict[str, Any],
    vocab_size: Annotated[int | None, typer.Option(help="Distinct tokens.")] = None,
    device: Annotated[str, typer.Option(help="A device by name, or this one; a wrong name lists them.")] = "this",
    batch_size: Annotated[int | None, typer.Option(help="Contexts in each step.")] = None,
    grad_accum_steps: Annotated[int | None, typer.Option(help="Pieces that each batch is cut into.")] = None,
    steps: Annotated[int | None, typer.Option("--max-steps", help="How many steps to train.")] = None,
    tokens: Annotated[int | None, typer.Option(help="How many tokens to train on, instead of --max-steps.")] = None,
    speed: Annotated[
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
    named = preset_name is not None or vocab_size is not None or bool(sizes)
    if steps is not None and tokens is not None:
        raise UserError("Say how long to train with --max-steps or with --tokens, and not with both.")
    if measure and speed is not None:
        raise UserError("--measure finds the speed that --flops states; leave one out.")
    if fit and (batch_size is not None or grad_accum_steps is not None):
        raise UserError("--fit finds the batch; leave --batch-size and --grad-accum-steps out.")
    if measure and device != "this":
        raise UserError(f"--measure measures this device; leave out --device {device}.")
    if fit and not named:
        _show_fitting(find_device(device))
        return
    config = chosen_architecture(preset_name, vocab_size, sizes)
    settings = training_preset(preset_name) if preset_name else TrainConfig()
    found = find_device(device)
    if fit:
        batch_size = largest_batch(config, found)
        if batch_size <= 0:
            raise UserError(f"Not even one context of this model fits {found.name}; choose a smaller model.")
    settings = settings.replace(
        batch_size=settings.batch_size if batch_size is None else batch_size,
        grad_accum_steps=1 if fit else settings.grad_accum_steps if grad_accum_steps is None else grad_accum_steps,
        max_steps=settings.max_steps if steps is None else steps,
    )
    if measure:
        found.best(precision)  # an unknown precision shows now, not after the measurement
        speed = measure_training_flops(config, settings.batch_size, precision=precision)
    _show_plan(
        make_plan(
            config,
            found,
            batch_size=settings.batch_size,
            grad_accum_steps=settings.grad_accum_steps,
            tokens=settings.max_steps * settings.batch_size * config.block_size if tokens is None else tokens,
            speed=speed,
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
        f"at best {plan.device.best(plan.precision):.3g} operations/s",
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
        "time": f"{format_duration(plan.seconds)} at {plan.speed:.3g} operations/s, {plan.utilisation:.0%} of the best",
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
