"""The gradient of a large batch, added up from pieces that fit into memory.

Shapes: B batch, T time.
"""

from torch import Tensor, nn

from minigpt.evaluate import cross_entropy

IGNORED = -100  # a target that is not to be predicted, such as padding


def backward_in_pieces(model: nn.Module, inputs: Tensor, targets: Tensor, pieces: int) -> float:
    """Add the gradient of the batch's mean loss to the parameters, a piece of the batch at a time; return that loss.

    inputs, targets: (B, T). A piece's mean loss counts by its share of the batch's targets, so that pieces of
    unequal size, or with targets that are `IGNORED`, give the gradient of the whole batch.
    """
    device = next(model.parameters()).device
    in_all = count_targets(targets)
    total = 0.0
    for some_inputs, some_targets in zip(inputs.tensor_split(pieces), targets.tensor_split(pieces), strict=True):
        share = count_targets(some_targets) / in_all
        if share > 0:
            loss = cross_entropy(model(some_inputs.to(device)), some_targets.to(device)) * share
            loss.backward()
            total += loss.item()
    return total


def count_targets(targets: Tensor) -> int:
    """Return how many targets are to be predicted."""
    return int((targets != IGNORED).sum())
