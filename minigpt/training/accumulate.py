"""The gradient of a large batch, added up from pieces that fit into memory.

Shapes: B batch, T time.
"""

import torch
from torch import Tensor, nn

from minigpt.evaluation import cross_entropy
from minigpt.training.parallel import SingleProcess
from minigpt.training.precision import Precision

IGNORED = -100  # a target that is not to be predicted, such as padding


def backward_in_pieces(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    pieces: int,
    precision: Precision | None = None,
    parallel: SingleProcess | None = None,
) -> float:
    """Add the gradient of the batch's mean loss to the parameters, a piece of the batch at a time; return that loss.

    inputs, targets: (B, T). A piece's mean loss counts by its share of the batch's targets, so that pieces of
    unequal size, or with targets that are `IGNORED`, give the gradient of the whole batch. Several processes exchange
    their gradients once, with the last piece.
    """
    device = next(model.parameters()).device
    precision = precision or Precision("float32", device)
    parallel = parallel or SingleProcess(model)
    in_all = count_targets(targets)
    total = torch.zeros((), device=device)
    cut = zip(inputs.tensor_split(pieces), targets.tensor_split(pieces), strict=True)
    for number, (some_inputs, some_targets) in enumerate(cut, start=1):
        share = count_targets(some_targets) / in_all
        if share > 0:
            with parallel.exchanging(number == pieces):
                with precision.autocast():
                    loss = cross_entropy(model(some_inputs.to(device)), some_targets.to(device)) * share
                precision.backward(loss)
            total += loss.detach()
    return total.item()


def count_targets(targets: Tensor) -> int:
    """Return how many targets are to be predicted."""
    return int((targets != IGNORED).sum())
