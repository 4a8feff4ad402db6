"""The arithmetic of models: closed formulas agree with what is built and with PyTorch's own counter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from minigpt import GPT, GPTConfig, UserError, count_parameters, cross_entropy, model_preset, preset_names
from minigpt.model.layers import MLPS, NORMS
from minigpt.model.position import POSITION_EMBEDDINGS
from minigpt.planning.counting import (
    CONVENTIONS,
    fill_in,
    forward_flops,
    num_parameters,
    parameter_breakdown,
    training_flops,
)


@st.composite
def configs(draw):
    """Any architecture that the package can build."""
    n_kv_head = draw(st.none() | st.integers(1, 4))
    n_head = draw(st.integers(1, 4)) if n_kv_head is None else n_kv_head * draw(st.integers(1, 3))
    tied = draw(st.booleans())
    return GPTConfig(
        vocab_size=draw(st.integers(1, 50)),
        block_size=draw(st.integers(1, 12)),
        n_layer=draw(st.integers(1, 4)),
        n_head=n_head,
        n_kv_head=n_kv_head,
        n_embd=n_head * 2 * draw(st.integers(1, 6)),
        mlp_dim=draw(st.none() | st.integers(1, 60)),
        bias=draw(st.booleans()),
        lm_head_bias=not tied and draw(st.booleans()),
        tie_weights=tied,
        position=draw(st.sampled_from(list(POSITION_EMBEDDINGS))),
        norm=draw(st.sampled_from(list(NORMS))),
        mlp=draw(st.sampled_from(list(MLPS))),
        qk_norm=draw(st.booleans()),
        attn_impl="naive",
    )


def built(config: GPTConfig) -> GPT:
    with torch.device("meta"):
        return GPT(config)


@settings(deadline=None)
@given(configs())
def test_the_formula_counts_what_is_built(config):
    model = built(config)
    assert num_parameters(config) == count_parameters(model)
    by_part = {part.name: part.count for part in parameter_breakdown(config)}
    assert by_part["token embedding"] == count_parameters(model.token_embedding)
    assert by_part["position embedding"] == count_parameters(model.position)
    assert by_part["attention"] == sum(count_parameters(block.attention) for block in model.blocks)
    assert by_part["MLP"] == sum(count_parameters(block.mlp) for block in model.blocks)
    assert by_part["head"] == (0 if config.tie_weights else count_parameters(model.lm_head))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_counted_exactly(name):
    assert num_parameters(model_preset(name)) == count_parameters(built(model_preset(name)))


@settings(deadline=None, max_examples=25)
@given(configs())
def test_operations_are_those_that_pytorch_counts(config):
    model = built(config)
    ids = torch.zeros(3, config.block_size, dtype=torch.long, device="meta")
    tokens = ids.numel()
    with FlopCounterMode(display=False) as counter:
        logits = model(ids)
    assert counter.get_total_flops() == tokens * forward_flops(config)
    with FlopCounterMode(display=False) as counter:
        cross_entropy(logits, ids).backward()
    assert counter.get_total_flops() == tokens * 2 * forward_flops(config)


def test_the_conventions_of_the_papers():
    gpt3 = GPTConfig(vocab_size=50257, block_size=2048, n_layer=96, n_head=96, n_embd=12288, bias=False)
    assert training_flops(gpt3, "6N") == 6 * num_parameters(gpt3)
    assert training_flops(gpt3, "kaplan") == 6 * 12 * 96 * 12288**2 + 6 * 96 * 2048 * 12288
    ratios = {name: training_flops(gpt3, name) / training_flops(gpt3) for name in CONVENTIONS}
    assert all(0.9 < ratio < 1.1 for ratio in ratios.values()), "for a large model they nearly agree"
    with pytest.raises(UserError, match="There is no convention 'palm'; the conventions are matrices, 6N"):
        training_flops(gpt3, "palm")


def test_a_formula_can_be_read_with_its_numbers():
    config = model_preset("tiny-shakespeare")
    attention = next(part for part in parameter_breakdown(config) if part.name == "attention")
    assert fill_in(attention.formula, config) == "4·(4·288² + 4·288)"
    assert attention.count == 4 * (4 * 288**2 + 4 * 288)


def test_a_component_without_a_formula_is_named():
    config = GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4, mlp="maxout")
    with pytest.raises(UserError, match="The planner has no formula for mlp = 'maxout'; it knows gelu, relu2, swiglu."):
        num_parameters(config)
