"""How the matrices of a model lie in memory, which decides how fast a CPU reads them.

A product with many rows at once, as in training, is as fast either way. A single row, as in writing one token, is not:
a matrix with more outputs than inputs is then read sooner column by column, one input after the other.
"""

from copy import deepcopy

from torch import nn

from minigpt.model import GPT


def to_writing_layout(model: GPT) -> GPT:
    """Return a copy of a model that writes sooner on a CPU: the same weights, some of them stored column by column.

    Those are the matrices of linear layers with more outputs than inputs, the head among them; a tied embedding
    follows its head.
    """
    copy = deepcopy(model).eval()
    for layer in copy.modules():
        if isinstance(layer, nn.Linear) and layer.out_features > layer.in_features:
            layer.weight.data = layer.weight.data.T.contiguous().T
    return copy
