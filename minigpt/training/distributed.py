"""One run in several processes: all of them hold the model (DDP) or a shard of it (FSDP), and share out each batch.

`torchrun` starts the processes, one for each device, and `process_group` lets them find each other. A process is known
by its rank, from 0 up; rank 0 writes the log and the checkpoints.
"""

import copy
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from minigpt.model.gpt import GPT
from minigpt.utils.errors import UserError
from minigpt.utils.machine import default_device

_joined: list[Any] = []  # groups live as long as the process: if DDP is the last to drop one, gloo may wait for ever


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that `torchrun` has started; without it, do nothing."""
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    on_cuda = default_device().type == "cuda"
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_cuda else "gloo")
    _joined.append(dist.group.WORLD)
    try:
        yield
    finally:
        dist.destroy_process_group()


class SingleDevice:
    """One process with the whole model: nothing to share, and nobody to wait for.

    `network` is what the forward pass of training goes through; `model` is the model itself.
    """

    rank = 0
    world_size = 1

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.network: nn.Module = model

    def local_slice(self, batch: Tensor) -> Tensor:
        """Return the rows of a batch that are this process's: (B, T) -> (B / size, T)."""
        return batch.tensor_split(self.world_size)[self.rank]

    def all_reduce_mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        return value

    def broadcast(self, value: float) -> float:
        """Return the number that rank 0 has, so that all processes decide alike."""
        return value

    def all_gather_object(self, value: Any) -> list[Any]:
        """Return what each process has, by rank."""
        return [value]

    def any_rank(self, fact: bool) -> bool:
        """Return whether something is so in one of the processes."""
        return fact

    def barrier(self) -> None:
        """Wait until all processes have come here."""

    def sync_gradients(self, wanted: bool) -> AbstractContextManager:
        """Return a block whose backward pass exchanges gradients only if wanted."""
        return nullcontext()

    def clip_grad_norm(self, max_norm: float) -> float:
        """Shorten the gradient to a norm of at most `max_norm`; return its norm before."""
        return float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm))

    def full_model(self) -> GPT:
        """Return the model with all of its weights, of which rank 0 may make use."""
        return self.model

    def full_optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return the optimizer's state for all of the weights."""
        return optimizer.state_dict()

    def load_optimizer_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Give an optimizer the state that `full_optimizer_state` returned, in however many processes."""
        optimizer.load_state_dict(state)


class DDP(SingleDevice):
    """Every process holds the whole model; gradients are averaged (Li et al., 2020: DDP)."""

    def __init__(self, model: GPT) -> None:
        super().__init__(model)
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.device = next(model.parameters()).device
        self.network = self.wrap()

    def wrap(self) -> nn.Module:
        """Return the network that averages gradients in its backward pass."""
        return DistributedDataParallel(self.model)

    def all_reduce_mean(self, value: float) -> float:
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item() / self.world_size

    def broadcast(self, value: float) -> float:
        said = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(said, src=0)
        return said.item()

    def all_gather_object(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def any_rank(self, fact: bool) -> bool:
        return self.all_reduce_mean(float(fact)) > 0

    def barrier(self) -> None:
        dist.barrier()

    def sync_gradients(self, wanted: bool) -> AbstractContextManager:
        return nullcontext() if wanted else cast(DistributedDataParallel, self.network).no_sync()


def wrap_model(model: GPT, fsdp: bool = False) -> SingleDevice:
    """Spread a model over the processes that there are: as a whole, or, with `fsdp`, in shares.

    Raises:
        UserError: the processes have not joined, or there is only one where `fsdp` asks for several.
    """
    if dist.is_available() and dist.is_initialized():
        return FSDP(model) if fsdp else DDP(model)
    started = os.environ.get("WORLD_SIZE", "1")
    if started != "1":
        raise UserError(
            f"torchrun has started {started} processes that have not joined; train inside `with process_group():`."
        )
    if fsdp:
        raise UserError("A model can be sharded over several processes only; start them with torchrun.")
    return SingleDevice(model)


def check_batch_divides(batch_size: int, pieces: int, processes: int) -> None:
    """Raise `UserError` unless a batch can be shared out evenly, and each share cut into its pieces."""
    if batch_size % processes != 0 or batch_size // processes < pieces:
        raise UserError(
            f"batch_size = {batch_size} cannot be shared out evenly over {processes} processes with at least "
            "one window in "
            f"each of {pieces} pieces; choose a multiple of {processes * pieces}."
        )


class FSDP(DDP):
    """Every process holds its share of each matrix, of its gradient and of its averages (Zhao et al., 2023: FSDP).

    A block's matrices are brought together just before they are needed, and let go after.
    """

    def wrap(self) -> nn.Module:
        self.gathered = copy.deepcopy(self.model).cpu()
        for parameter in self.model.parameters():
            dist.broadcast(parameter.data, src=0)
        mesh = dist.init_device_mesh(self.device.type, (self.world_size,))
        for block in self.model.blocks:
            fully_shard(block, mesh=mesh)
        return cast(nn.Module, fully_shard(self.model, mesh=mesh))

    @contextmanager
    def sync_gradients(self, wanted: bool) -> Iterator[None]:
        cast(FSDPModule, self.network).set_requires_gradient_sync(wanted)
        yield

    def clip_grad_norm(self, max_norm: float) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm)
        return cast(DTensor, norm).full_tensor().item()

    def full_model(self) -> GPT:
        whole = {name: value.full_tensor() for name, value in self.model.state_dict().items()}
        self.gathered.load_state_dict(whole)
        return self.gathered

    def full_optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        state = optimizer.state_dict()
        whole = {
            number: {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in one.items()}
            for number, one in state["state"].items()
        }
        return state | {"state": whole}

    def load_optimizer_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        own = {
            number: {name: _shard_like(value, parameters[number]) for name, value in one.items()}
            for number, one in state["state"].items()
        }
        optimizer.load_state_dict(state | {"state": own})


def _shard_like(value: Any, parameter: DTensor) -> Any:
    """Return this process's share of a tensor that goes with a parameter; anything else as it is."""
    if not isinstance(value, Tensor) or value.shape != parameter.shape:
        return value
    return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
