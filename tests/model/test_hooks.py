"""Looking inside a model changes nothing in it."""

import pytest
import torch
from torch.testing import assert_close

from minigpt import UserError, capture_activations, count_parameters, naive_attention, parameter_table

IDS = torch.tensor([[1, 2, 3, 4, 5]])


@pytest.mark.parametrize("attn_impl", ["naive", "sdpa"])
def test_attention_weights_can_be_seen(make_model, attn_impl):
    model = make_model(attn_impl=attn_impl)
    with capture_activations(model, "blocks.*.attention.weights") as seen:
        logits = model(IDS)
    assert list(seen) == ["blocks.0.attention.weights", "blocks.1.attention.weights"]
    for weights in seen.values():
        assert weights.shape == (1, 2, 5, 5)
        assert_close(weights.sum(-1), torch.ones(1, 2, 5))
        assert not weights.requires_grad
    assert_close(logits, model(IDS))


def test_the_weights_are_those_of_the_layer(make_model):
    model = make_model(n_layer=1)
    with capture_activations(model, "blocks.0.attention.weights", "blocks.0.attention_norm") as seen:
        model(IDS)
    layer = model.blocks[0].attention
    q, k, v = (layer.split_heads(part) for part in layer.qkv(seen["blocks.0.attention_norm"]).chunk(3, dim=-1))
    assert_close(seen["blocks.0.attention.weights"], naive_attention(q, k, v)[1])


@pytest.mark.parametrize("changes", [{"position": "alibi"}, {"position": "rope", "n_kv_head": 1, "qk_norm": True}])
def test_the_weights_of_modern_layers_are_those_of_the_formula(make_model, changes):
    naive, fused = make_model(attn_impl="naive", **changes), make_model(attn_impl="tiled", **changes)
    found = []
    for model in (naive, fused):
        with capture_activations(model, "blocks.*.attention.weights") as seen:
            model(IDS)
        found.append(list(seen.values()))
    assert_close(*found)


def test_a_star_stands_for_one_part_of_a_name(model):
    with capture_activations(model, "blocks.*", "*.0.mlp") as seen:
        model(IDS)
    assert sorted(seen) == ["blocks.0", "blocks.0.mlp", "blocks.1"]


def test_a_dot_is_a_dot(model):
    with pytest.raises(UserError, match="No module matches"), capture_activations(model, "toke."):
        pass


def test_outputs_are_those_of_the_modules(model):
    with capture_activations(model, "final_norm") as seen:
        logits = model(IDS)
    assert_close(model.lm_head(seen["final_norm"]), logits)


def test_the_model_is_left_as_it_was(model):
    formulas = [block.attention.attn_impl for block in model.blocks]
    with pytest.raises(ZeroDivisionError), capture_activations(model, "blocks.*") as seen:
        raise ZeroDivisionError
    model(IDS)
    assert not seen
    assert [block.attention.attn_impl for block in model.blocks] == formulas
    assert not any(module._forward_hooks for module in model.modules())


def test_a_name_that_no_module_has_lists_the_names(model):
    with pytest.raises(UserError) as error, capture_activations(model, "block.*"):
        pass
    assert "No module matches 'block.*'; the model has token_embedding, position, " in str(error.value)
    assert "blocks.1.attention.weights" in str(error.value)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_table_adds_up(make_model):
    for model in (make_model(), make_model(tie_weights=True)):
        table = parameter_table(model)
        assert sum(size for _, _, size in table) == count_parameters(model)
        assert ("token_embedding.weight", (model.config.vocab_size, 16), model.config.vocab_size * 16) in table
