"""Gradient checkpointing: the same gradients to the bit, from less memory."""

import copy

import pytest
import torch

from minigpt import GPT, GPTConfig, cross_entropy, generate
from minigpt.config import ACTIVATION_CHECKPOINTING

CONFIG = GPTConfig(vocab_size=11, block_size=32, n_layer=3, n_head=2, n_embd=16, dropout=0.2, attn_impl="naive")
IDS = torch.arange(64).view(2, 32) % 11


def step(model: GPT) -> tuple[list[torch.Tensor], int]:
    """Return the loss and all gradients, and how many bytes the forward pass keeps."""
    storages = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = cross_entropy(model(IDS), IDS)
    loss.backward()
    return [loss.detach(), *(parameter.grad for parameter in model.parameters())], sum(storages.values())


def built(part: str) -> GPT:
    torch.manual_seed(0)
    return GPT(CONFIG.replace(activation_checkpointing=part))


@pytest.mark.parametrize("part", ACTIVATION_CHECKPOINTING)
def test_gradients_are_equal_to_the_bit(part):
    expected, most = step(built("none"))
    found, kept = step(built(part))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert (kept < most) == (part != "none")


def test_a_whole_block_keeps_least():
    kept = {part: step(built(part))[1] for part in ACTIVATION_CHECKPOINTING}
    assert kept["block"] < min(kept["attention"], kept["mlp"])


@pytest.mark.parametrize("part", ACTIVATION_CHECKPOINTING)
def test_a_copy_is_a_model_of_its_own(part):
    model = built(part)
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    assert other(IDS).eq(0).all() and not model(IDS).eq(0).any()


@pytest.mark.parametrize("part", ACTIVATION_CHECKPOINTING)
def test_names_stay_and_writing_works(make_model, tokenizer, part):
    plain, model = make_model(), make_model(activation_checkpointing=part)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert generate(model, tokenizer, "a", temperature=0) == generate(plain, tokenizer, "a", temperature=0)
