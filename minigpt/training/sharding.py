"""A model of which every process holds a share only, for models that no single device can hold with their averages."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from minigpt.model import GPT
from minigpt.training.parallel import Replicated


class Sharded(Replicated):
    """Every process holds its share of each matrix, of its gradient and of its averages (Zhao et al., 2023: FSDP).

    A block's matrices are brought together just before they are needed, and let go after.
    """

    def wrap(self) -> nn.Module:
        self.gathered = copy.deepcopy(self.model).cpu()
        for parameter in self.model.parameters():
            dist.broadcast(parameter.data, src=0)
        mesh = dist.init_device_mesh(self.device.type, (self.size,))
        for block in self.model.blocks:
            fully_shard(block, mesh=mesh)
        return fully_shard(self.model, mesh=mesh)

    @contextmanager
    def exchanging(self, wanted: bool) -> Iterator[None]:
        self.network.set_requires_gradient_sync(wanted)
        yield

    def clip(self, max_norm: float) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm)
        return norm.full_tensor().item()

    def whole_model(self) -> GPT:
        whole = {name: value.full_tensor() for name, value in self.model.state_dict().items()}
        self.gathered.load_state_dict(whole)
        return self.gathered

    def whole_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        state = optimizer.state_dict()
        whole = {
            number: {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in one.items()}
            for number, one in state["state"].items()
        }
        return state | {"state": whole}

    def load_state(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        own = {
            number: {name: cut_like(value, parameters[number]) for name, value in one.items()}
            for number, one in state["state"].items()
        }
        optimizer.load_state_dict(state | {"state": own})


def cut_like(value: Any, parameter: DTensor) -> Any:
    """Return this process's share of a tensor that goes with a parameter; anything else as it is."""
    if not isinstance(value, Tensor) or value.shape != parameter.shape:
        return value
    return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
