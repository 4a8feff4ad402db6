"""What a training run takes and whether a device can do it: memory, FLOPs, time, and the largest batch that fits."""

from dataclasses import dataclass

from minigpt.config import GPTConfig, model_preset, preset_names
from minigpt.planning.counting import num_parameters, training_flops
from minigpt.planning.devices import Device
from minigpt.planning.memory import GenerationMemory, TrainingMemory, generation_memory, training_memory
from minigpt.utils.errors import UserError

TYPICAL_MFU = 0.4  # the share of its best speed that a device reaches in training, where none is stated


RESERVED_FRACTION = {
    "cuda": 0.1,
    "cpu": 0.4,
    "mps": 0.4,
}  # left to the system, other programs, the allocator's leftovers


CHINCHILLA_TOKENS_PER_PARAMETER = 20  # tokens per parameter (Hoffmann et al., 2022)


@dataclass(frozen=True)
class Plan:
    """A training run on a device: `tokens` in batches of `batch_size` contexts, at so many operations per second.

    The memory is that of float32 throughout; at another precision it is less, which is not reckoned.
    """

    config: GPTConfig
    device: Device
    batch_size: int
    tokens: int
    flops_per_second: float
    training: TrainingMemory
    generation: GenerationMemory
    precision: str = "float32"

    @property
    def steps(self) -> int:
        """The number of steps."""
        return -(-self.tokens // (self.batch_size * self.config.block_size))

    @property
    def operations(self) -> int:
        """The floating-point operations of the whole run."""
        return self.tokens * training_flops(self.config)

    @property
    def seconds(self) -> float:
        """The time of the whole run, without evaluations and saving."""
        return self.operations / self.flops_per_second

    @property
    def fits(self) -> bool:
        """Whether the device can hold the training."""
        return self.training.peak <= usable_memory(self.device)

    @property
    def mfu(self) -> float:
        """The share of the device's best speed at this precision that the plan counts on."""
        return self.flops_per_second / self.device.peak_flops(self.precision)


def plan(
    config: GPTConfig,
    device: Device,
    *,
    batch_size: int,
    tokens: int,
    grad_accum_steps: int = 1,
    flops_per_second: float | None = None,
    precision: str = "float32",
) -> Plan:
    """Plan a training run; `flops_per_second` is in operations per second, if unset a share of the device's best.

    Raises:
        UserError: a number is not positive, or the device has no units for the precision.
    """
    if tokens <= 0:
        raise UserError(f"tokens = {tokens} must be at least 1.")
    if flops_per_second is None:
        flops_per_second = TYPICAL_MFU * device.peak_flops(precision)
    if not flops_per_second > 0:
        raise UserError(f"flops_per_second = {flops_per_second} must be above 0.")
    training = training_memory(config, batch_size, device.kind, grad_accum_steps)
    return Plan(config, device, batch_size, tokens, flops_per_second, training, generation_memory(config), precision)


def usable_memory(device: Device) -> int:
    """Return how many bytes of a device's memory a plan may use."""
    return int(device.memory * (1 - RESERVED_FRACTION[device.kind]))


def largest_batch(config: GPTConfig, device: Device) -> int:
    """Return the largest batch that can be trained on a device, or 0 if not even a single context fits."""
    limit = usable_memory(device)
    fits, too_large = 0, 1
    while training_memory(config, too_large, device.kind).peak <= limit:
        fits, too_large = too_large, 2 * too_large
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if training_memory(config, middle, device.kind).peak <= limit:
            fits = middle
        else:
            too_large = middle
    return fits


def fitting_presets(device: Device) -> list[tuple[str, int]]:
    """Return each preset that can be trained on a device with its largest batch, the largest model first."""
    batches = {name: largest_batch(model_preset(name), device) for name in preset_names()}
    fitting = [(name, batch) for name, batch in batches.items() if batch > 0]
    return sorted(fitting, key=lambda row: num_parameters(model_preset(row[0])), reverse=True)
