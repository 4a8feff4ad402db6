"""Muon: every matrix inside the blocks moves by an orthogonal matrix; everything else moves as with AdamW.

Shapes: R rows and C columns of a matrix.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of a·x + b·x³ + c·x⁵, which brings every number of (0, 1] close to 1


ADAMW_RMS = 0.2  # the root mean square of AdamW's usual step, in learning rates


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return nearly U·Vᵀ for a matrix U·S·Vᵀ: the same directions, with all singular values between about 0.7 and 1.2.

    It takes matrix products only: Newton and Schulz's iteration, with the polynomial of Jordan et al. (2024).
    """
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.size(0) <= matrix.size(1) else matrix.mT
    x = wide / (wide.norm() + 1e-7)  # no singular value above 1
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if matrix.size(0) <= matrix.size(1) else x.mT


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, for matrices (Jordan et al., 2024), and AdamW for `others`, both with weight decay.

    An orthogonal step is scaled by 0.2·√max(R, C), so that its numbers are as large as those of AdamW's and one
    learning rate and weight decay serve both (Liu et al., 2025).
    """

    def __init__(
        self,
        matrices: Sequence[Tensor],
        others: list[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay, "eps": eps}
        groups = [{"params": list(matrices), "rule": "muon"}, *({**group, "rule": "adamw"} for group in others)]
        super().__init__([group for group in groups if group["params"]], settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Move every parameter that has a gradient; return what `closure` returns, if it is given."""
        with torch.enable_grad():
            loss = closure() if closure else None
        for group in self.param_groups:
            move = UPDATE_RULES[group["rule"]]
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    move(parameter, parameter.grad, self.state[parameter], group)
        return loss


def _muon_update(matrix: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Take Muon's step: Nesterov's momentum, made orthogonal."""
    momentum = state.setdefault("momentum", torch.zeros_like(matrix))
    momentum.lerp_(gradient, 1 - group["momentum"])
    ahead = gradient.lerp(momentum, group["momentum"])
    matrix.add_(_orthogonalize(ahead), alpha=-group["lr"] * ADAMW_RMS * max(matrix.shape) ** 0.5)


def _orthogonalize(update: Tensor) -> Tensor:
    """Return Newton and Schulz's matrix of an update, sharded as the update is.

    If each process holds a shard, they gather the matrix once, all of them iterate, and each keeps its own shard:
    repeated work, but no product waits for another process.
    """
    if not isinstance(update, DTensor):
        return newton_schulz(update)
    whole = DTensor.from_local(newton_schulz(update.full_tensor()), update.device_mesh, [Replicate()])
    return whole.redistribute(placements=update.placements)


def _adamw_update(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Take AdamW's step (Loshchilov and Hutter, 2019)."""
    if not state:
        state |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
    state["step"] += 1
    beta1, beta2 = group["betas"]
    state["mean"].lerp_(gradient, 1 - beta1)
    state["square"].lerp_(gradient.square(), 1 - beta2)
    mean = state["mean"] / (1 - beta1 ** state["step"])
    square = state["square"] / (1 - beta2 ** state["step"])
    parameter.addcdiv_(mean, square.sqrt() + group["eps"], value=-group["lr"])


UPDATE_RULES = {"muon": _muon_update, "adamw": _adamw_update}
