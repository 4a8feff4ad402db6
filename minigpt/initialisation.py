"""The random numbers that a model begins with."""

from torch import nn


def initialise(model: nn.Module, n_layer: int, std: float = 0.02) -> None:
    """Draw all matrices from N(0, std²), biases 0; the writes to the residual stream get std / √(2·n_layer)."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            writes_to_stream = name.endswith(("attention.out", "mlp.down"))
            nn.init.normal_(module.weight, std=std / (2 * n_layer) ** 0.5 if writes_to_stream else std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
