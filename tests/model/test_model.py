"""The GPT: equal to an independent GPT-2, and open to replaced parts; `test_arrangements.py` has every arrangement."""

import copy
import itertools
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from minigpt import (
    GPT,
    CausalSelfAttention,
    GPTConfig,
    LayerNorm,
    UserError,
    count_parameters,
    cross_entropy,
    naive_attention,
)
from minigpt.config import ACTIVATION_CHECKPOINTING
from minigpt.model.attention import ATTENTION_FUNCTIONS
from minigpt.model.layers import MLPS, NORMS
from minigpt.model.position import POSITION_EMBEDDINGS


@pytest.mark.parametrize("position", POSITION_EMBEDDINGS)
def test_a_prefix_gets_the_same_logits(make_model, position):
    model = make_model(position=position)
    ids = torch.randint(0, model.config.vocab_size, (2, 8))
    assert_close(model(ids[:, :5]), model(ids)[:, :5])


@pytest.mark.parametrize("position", POSITION_EMBEDDINGS)
def test_order_matters_through_positions_only(make_model, position):
    model = make_model(position=position, n_layer=1)
    ids = torch.tensor([[3, 1, 2, 5]])
    same_set = torch.allclose(model(ids)[:, -1], model(ids[:, [1, 0, 2, 3]])[:, -1], atol=1e-5)
    assert same_set == (position == "none")


def test_naive_and_sdpa_give_the_same_model(make_model):
    naive, fused = make_model(attn_impl="naive"), make_model(attn_impl="sdpa")
    ids = torch.randint(0, naive.config.vocab_size, (3, 8))
    assert_close(naive(ids), fused(ids))
    gradients = []
    for model in (naive, fused):
        cross_entropy(model(ids[:, :-1]), ids[:, 1:]).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert_close(*gradients)


def gpt2_twin(config: GPTConfig):
    """Return Hugging Face's GPT-2 of the same shape."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = transformers.GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.block_size,
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_inner=config.hidden_dim,
        tie_word_embeddings=config.tie_weights,
        activation_function="gelu_new",
        attn_implementation="eager",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(sizes).eval()


def copy_into_twin(model: GPT, twin) -> None:
    """Copy every weight; Hugging Face's Conv1D holds matrices transposed."""
    source = dict(model.named_parameters(remove_duplicate=False))
    names = {"token_embedding.weight": "transformer.wte.weight", "position.table.weight": "transformer.wpe.weight"}
    names |= {"final_norm.weight": "transformer.ln_f.weight", "final_norm.bias": "transformer.ln_f.bias"}
    names |= {"lm_head.weight": "lm_head.weight"}
    parts = {"attention_norm": "ln_1", "attention.qkv": "attn.c_attn", "attention.out": "attn.c_proj"}
    parts |= {"mlp_norm": "ln_2", "mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj"}
    for block, (ours, theirs), kind in itertools.product(
        range(model.config.n_layer), parts.items(), ("weight", "bias")
    ):
        names[f"blocks.{block}.{ours}.{kind}"] = f"transformer.h.{block}.{theirs}.{kind}"
    assert set(names) == set(source)
    target = dict(twin.named_parameters(remove_duplicate=False))
    for ours, theirs in names.items():
        transposed = theirs.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        weight = source[ours].data
        target[theirs].data.copy_(weight.T if transposed else weight)


@pytest.mark.parametrize("tie_weights", [False, True])
def test_logits_equal_hugging_faces_gpt2(make_model, tie_weights):
    model = make_model(vocab_size=33, block_size=12, n_layer=3, n_head=4, n_embd=24, tie_weights=tie_weights)
    twin = gpt2_twin(model.config)
    copy_into_twin(model, twin)
    assert count_parameters(model) == sum(parameter.numel() for parameter in twin.parameters())
    ids = torch.randint(0, 33, (2, 12))
    with torch.no_grad():
        logits, expected = model(ids), twin(ids).logits
    assert expected.std() > 0.5
    assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_tied_weights_are_one_matrix(make_model):
    tied, untied = make_model(tie_weights=True), make_model()
    assert tied.lm_head.weight is tied.token_embedding.weight
    assert count_parameters(untied) - count_parameters(tied) == tied.token_embedding.weight.numel()


def test_frozen_parameters_are_not_counted(model):
    before = count_parameters(model)
    model.token_embedding.requires_grad_(False)
    assert count_parameters(model) == before - model.token_embedding.weight.numel()


def test_initialisation_is_gpt2s():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=500, block_size=64, n_layer=8, n_head=4, n_embd=128, lm_head_bias=True))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert parameter.eq(0).all(), name
        elif "norm" in name:
            assert parameter.eq(1).all(), name
        else:
            writes = name.endswith(("attention.out.weight", "mlp.down.weight"))
            expected = 0.02 / math.sqrt(2 * 8) if writes else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.05), name
            assert parameter.mean().item() == pytest.approx(0, abs=expected / 10), name


def test_a_new_model_guesses_uniformly():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=65, block_size=16, n_layer=2, n_head=2, n_embd=32))
    ids = torch.randint(0, 65, (8, 17))
    assert cross_entropy(model(ids[:, :-1]), ids[:, 1:]).item() == pytest.approx(math.log(65), abs=0.05)


def test_the_same_seed_gives_the_same_weights(make_model):
    first, second, other = (make_model(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["token_embedding.weight"], other["token_embedding.weight"])


def test_dropout_acts_in_training_only(make_model):
    model = make_model(dropout=0.5)
    ids = torch.randint(0, model.config.vocab_size, (1, 8))
    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


def test_dropout_reaches_embeddings_attention_and_mlp(make_model):
    rates = [module.p for module in make_model(dropout=0.25).modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.25] * (1 + 2 * 2)


@pytest.mark.parametrize("name", ["dropout", "blocks.1.attention.dropout", "blocks.1.mlp.dropout"])
def test_what_dropout_returns_is_what_the_model_goes_on_with(model, name):
    ids = torch.tensor([[1, 2, 3]])
    before = model(ids)
    model.get_submodule(name).register_forward_hook(lambda module, inputs, output: output * 0)
    assert not torch.allclose(model(ids), before)


@pytest.mark.parametrize("length", [1, 8])
def test_any_length_up_to_the_block_size(model, length):
    assert model(torch.zeros(2, length, dtype=torch.long)).shape == (2, length, model.config.vocab_size)


@pytest.mark.parametrize("shape", [(), (4,), (1, 2, 4)])
def test_ids_of_another_shape_are_an_error(model, shape):
    with pytest.raises(UserError, match=r"not \(B, T\); add a batch with ids\[None\]"):
        model(torch.zeros(shape, dtype=torch.long))


def test_a_longer_sequence_is_an_error(model):
    with pytest.raises(UserError, match="The sequence has 9 tokens but the model's block_size is 8"):
        model(torch.zeros(1, 9, dtype=torch.long))


class MyNorm(LayerNorm):
    pass


class MyMLP(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.down = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, x):
        return self.down(x)


class MyPosition(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, x):
        return x * 2


def my_attention(config: GPTConfig) -> CausalSelfAttention:
    return CausalSelfAttention(config.n_embd, config.n_head, attn_impl=partial(naive_attention))


def test_every_part_can_be_replaced(make_model):
    parts = {
        "norm": lambda config: MyNorm(config.n_embd),
        "attention": my_attention,
        "mlp": MyMLP,
        "position": MyPosition,
    }
    model = make_model(factories=parts)
    assert model.custom_components == ["norm", "attention", "mlp", "position"]
    assert isinstance(model.final_norm, MyNorm) and isinstance(model.position, MyPosition)
    for block in model.blocks:
        assert isinstance(block.attention_norm, MyNorm) and isinstance(block.mlp_norm, MyNorm)
        assert isinstance(block.mlp, MyMLP) and isinstance(block.attention.attn_impl, partial)
    assert model(torch.zeros(1, 4, dtype=torch.long)).shape == (1, 4, model.config.vocab_size)
    assert make_model().custom_components == []


def test_a_replaced_part_that_is_equal_changes_nothing(make_model):
    ids = torch.arange(8).unsqueeze(0)
    assert_close(
        make_model(factories={"norm": lambda config: MyNorm(config.n_embd), "attention": my_attention})(ids),
        make_model()(ids),
    )


@pytest.mark.parametrize("scheme", ["rope", "alibi"])
def test_a_replaced_attention_that_cannot_turn_its_queries_is_an_error(make_model, scheme):
    with pytest.raises(
        UserError, match=r"acts inside attention, which Identity does not let it do; build on CausalSelfAttention"
    ):
        make_model(position=scheme, factories={"attention": lambda config: nn.Identity()})
    make_model(position="learned", factories={"attention": lambda config: nn.Identity()})


def test_a_replaced_attention_follows_the_positions(make_model):
    ids = torch.arange(8).unsqueeze(0)
    assert_close(
        make_model(position="rope", factories={"attention": my_attention})(ids), make_model(position="rope")(ids)
    )


def test_a_model_moves_with_its_positions(make_model):
    model = make_model(position="rope").double()
    copied = copy.deepcopy(model)
    ids = torch.arange(8).unsqueeze(0)
    assert model(ids).dtype == torch.float64
    assert copied.position is not model.position
    assert torch.equal(copied(ids), model(ids))


def test_a_model_with_turned_queries_reads_further_with_the_same_weights(make_model):
    short, long = make_model(position="rope"), make_model(position="rope", block_size=16)
    long.load_state_dict(short.state_dict())
    ids = torch.arange(16).unsqueeze(0)
    assert_close(long(ids)[:, :8], short(ids[:, :8]))


def test_a_replaced_part_is_initialised_like_the_others():
    config = GPTConfig(vocab_size=5, block_size=4, n_layer=8, n_head=2, n_embd=64)
    torch.manual_seed(0)
    weight = GPT(config, mlp=MyMLP).blocks[3].mlp.down.weight
    assert weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)


TABLES = {
    "norm": NORMS,
    "mlp": MLPS,
    "position": POSITION_EMBEDDINGS,
    "attn_impl": ATTENTION_FUNCTIONS,
    "activation_checkpointing": ACTIVATION_CHECKPOINTING,
}


@pytest.mark.parametrize(("field", "known"), TABLES.items())
def test_an_unknown_component_lists_the_known_ones(make_model, field, known):
    with pytest.raises(UserError) as error:
        make_model(**{field: "magic"})
    assert f"{field} = 'magic'; choose one of {', '.join(known)}." in str(error.value)


def test_a_replaced_part_needs_no_known_name(make_model):
    model = make_model(norm="mine", factories={"norm": lambda config: MyNorm(config.n_embd)})
    assert isinstance(model.final_norm, MyNorm)
