"""The weights that a model begins with: normal, biases zero, and smaller where a block writes to the stream."""

import pytest
import torch

from minigpt import GPT, GPTConfig


def test_matrices_are_drawn_with_two_widths_and_biases_are_zero():
    torch.manual_seed(0)
    config = GPTConfig(vocab_size=99, block_size=16, n_layer=8, n_head=2, n_embd=128)
    for name, value in GPT(config).named_parameters():
        if name.endswith("bias"):
            assert (value == 0).all()
        elif value.dim() == 2:
            writes = name.endswith(("attention.out.weight", "mlp.down.weight"))
            assert value.std().item() == pytest.approx(0.02 / 4 if writes else 0.02, rel=0.05), name
