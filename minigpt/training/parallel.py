"""One run in several processes: each takes its share of every batch, and all end a step with the same weights.

`torchrun` starts the processes, one for each device, and `process_group` lets them find each other. A process is known
by its rank, from 0 up; rank 0 writes the log and the checkpoints.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from minigpt.config import require
from minigpt.machine import pick_device
from minigpt.model import GPT

joined: list[Any] = []  # groups live as long as the process: if DDP is the last to drop one, gloo may wait for ever


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that `torchrun` has started; without it, do nothing."""
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    on_cuda = pick_device().type == "cuda"
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_cuda else "gloo")
    joined.append(dist.group.WORLD)
    try:
        yield
    finally:
        dist.destroy_process_group()


class SingleProcess:
    """One process with the whole model: nothing to share, and nobody to wait for.

    `network` is what the forward pass of training goes through; `model` is the model itself.
    """

    rank = 0
    size = 1

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.network: nn.Module = model

    def share(self, batch: Tensor) -> Tensor:
        """Return the rows of a batch that are this process's: (B, T) -> (B / size, T)."""
        return batch.tensor_split(self.size)[self.rank]

    def mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        return value

    def agree(self, value: float) -> float:
        """Return the number that rank 0 has, so that all processes decide alike."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """Return what each process has, by rank."""
        return [value]

    def any(self, fact: bool) -> bool:
        """Return whether something is so in one of the processes."""
        return fact

    def wait(self) -> None:
        """Wait until all processes have come here."""

    def exchanging(self, wanted: bool) -> AbstractContextManager:
        """Return a block whose backward pass exchanges gradients only if wanted."""
        return nullcontext()

    def clip(self, max_norm: float) -> float:
        """Shorten the gradient to a norm of at most `max_norm`; return its norm before."""
        return float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm))

    def whole_model(self) -> GPT:
        """Return the model with all of its weights, of which rank 0 may make use."""
        return self.model

    def whole_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return the optimizer's state for all of the weights."""
        return optimizer.state_dict()

    def load_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Give an optimizer the state that `whole_state` returned, in however many processes."""
        optimizer.load_state_dict(state)


class Replicated(SingleProcess):
    """Every process holds the whole model; gradients are averaged (Li et al., 2020: DDP)."""

    def __init__(self, model: GPT) -> None:
        super().__init__(model)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.device = next(model.parameters()).device
        self.network = self.wrap()

    def wrap(self) -> nn.Module:
        """Return the network that averages gradients in its backward pass."""
        return DistributedDataParallel(self.model)

    def mean(self, value: float) -> float:
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item() / self.size

    def agree(self, value: float) -> float:
        said = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(said, src=0)
        return said.item()

    def gather(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def any(self, fact: bool) -> bool:
        return self.mean(float(fact)) > 0

    def wait(self) -> None:
        dist.barrier()

    def exchanging(self, wanted: bool) -> AbstractContextManager:
        return nullcontext() if wanted else self.network.no_sync()


def spread(model: GPT, shard: bool = False) -> SingleProcess:
    """Spread a model over the processes that there are: as a whole, or, with `shard`, in shares.

    Raises:
        UserError: the processes have not joined, or there is only one where `shard` asks for several.
    """
    if dist.is_available() and dist.is_initialized():
        if shard:
            from minigpt.training.sharding import Sharded  # which takes a while to import

            return Sharded(model)
        return Replicated(model)
    started = os.environ.get("WORLD_SIZE", "1")
    require(
        started == "1",
        f"torchrun has started {started} processes that have not joined; train inside `with process_group():`.",
    )
    require(not shard, "A model can be sharded over several processes only; start them with torchrun.")
    return SingleProcess(model)


def require_shares(batch_size: int, pieces: int, processes: int) -> None:
    """Raise `UserError` unless a batch can be shared out evenly, and each share cut into its pieces."""
    require(
        batch_size % processes == 0 and batch_size // processes >= pieces,
        f"batch_size = {batch_size} cannot be shared out evenly over {processes} processes with at least one window in "
        f"each of {pieces} pieces; choose a multiple of {processes * pieces}.",
    )
