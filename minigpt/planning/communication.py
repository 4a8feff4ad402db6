"""What several devices that train one model have to tell each other, and where that slows a step down.

Symbols: n devices, P parameters. Bandwidths are in bytes per second and in one direction.
"""

from dataclasses import dataclass

from minigpt.config import GPTConfig
from minigpt.planning.counting import num_parameters
from minigpt.planning.devices import Device, expected_tokens_per_second
from minigpt.utils.errors import UserError

FLOAT_BYTES = 4  # bytes of a gradient: under autocast, parameters and gradients stay in float32


DDP_PASSES, FSDP_PASSES = 2, 3  # how often the parameters' bytes travel: sums out and back, and once more if sharded


@dataclass(frozen=True)
class Cluster:
    """Equal devices in nodes of `per_node`: what one sends to its neighbour in the node, and one node to the next."""

    device: Device
    per_node: int
    intra_node_bandwidth: float
    inter_node_bandwidth: float

    def bandwidth(self, devices: int) -> float:
        """Return the bandwidth of a ring through so many devices: that of its narrowest link."""
        return (
            self.intra_node_bandwidth
            if devices <= self.per_node
            else min(self.intra_node_bandwidth, self.inter_node_bandwidth)
        )


@dataclass(frozen=True)
class StepTime:
    """The seconds of one step of training: both passes, and the exchange of gradients."""

    forward: float
    backward: float
    communication: float

    @property
    def overlapped(self) -> float:
        """The time if gradients travel while earlier ones are still being computed, as DDP sends them."""
        return self.forward + max(self.backward, self.communication)

    @property
    def efficiency(self) -> float:
        """The share of the overlapped step in which the devices compute, which is how well n of them do for n."""
        return (self.forward + self.backward) / self.overlapped


def allreduce_bytes(config: GPTConfig, devices: int, passes: int = DDP_PASSES) -> float:
    """Return what each device sends in a step, and receives as well.

    In a ring, the sum of P numbers takes (n − 1)/n · P to gather and as much again to hand round, whatever n is
    (Patarasuk and Yuan, 2009). Where the parameters are sharded too, they are gathered once for each pass and their
    gradients summed: three times that amount instead of two (Rajbhandari et al., 2020, section 7).

    Raises:
        UserError: there is not even one device.
    """
    if devices < 1:
        raise UserError(f"devices = {devices} must be at least 1.")
    return passes * (devices - 1) / devices * FLOAT_BYTES * num_parameters(config)


def step_time(
    config: GPTConfig,
    cluster: Cluster,
    devices: int,
    tokens: int,
    mfu: float,
    precision: str = "bfloat16",
    passes: int = DDP_PASSES,
) -> StepTime:
    """Reckon a step in which each device reads `tokens` tokens at `mfu` times its best speed.

    The backward pass takes twice as long as the forward pass. The time that a message needs before its first byte
    arrives is left out: it counts for small models on many devices.

    Raises:
        UserError: a number is out of range, or the device has no units for the precision.
    """
    if tokens < 1:
        raise UserError(f"tokens = {tokens} must be at least 1.")
    compute = tokens / expected_tokens_per_second(config, cluster.device.peak_flops(precision), mfu)
    communication = allreduce_bytes(config, devices, passes) / cluster.bandwidth(devices)
    return StepTime(compute / 3, 2 * compute / 3, communication)


def communication_bound_tokens(
    config: GPTConfig,
    cluster: Cluster,
    devices: int,
    mfu: float,
    precision: str = "bfloat16",
    passes: int = DDP_PASSES,
) -> float:
    """Return the tokens of each device and step below which communication takes longer than the backward pass."""
    one = step_time(config, cluster, devices, 1, mfu, precision, passes)
    return one.communication / one.backward
