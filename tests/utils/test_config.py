"""Configurations: they go to JSON and back, and every mistake is one sentence that names it."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import GPTConfig, TrainConfig, UserError
from minigpt.utils.files import read_json

SIZES = {"vocab_size": 65, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}

WRONG_MODELS = {
    "vocab_size = 0 must be at least 1": {"vocab_size": 0},
    "block_size = -1 must be at least 1": {"block_size": -1},
    "n_layer = 0 must be at least 1": {"n_layer": 0},
    "n_head = 0 must be at least 1": {"n_head": 0},
    "n_embd = 0 must be at least 1": {"n_embd": 0},
    "mlp_dim = 0 must be at least 1": {"mlp_dim": 0},
    "n_embd = 17 is not divisible by n_head = 2; try n_embd = 16": {"n_embd": 17},
    "n_embd = 2 is not divisible by n_head = 8; try n_embd = 8": {"n_embd": 2, "n_head": 8},
    "n_kv_head = 0 must be at least 1": {"n_kv_head": 0},
    "n_head = 2 is not divisible by n_kv_head = 3": {"n_kv_head": 3},
    "qk_norm = 1 must be of type bool": {"qk_norm": 1},
    "dropout = 1.0 must be at least 0 and below 1": {"dropout": 1.0},
    "dropout = -0.1 must be at least 0 and below 1": {"dropout": -0.1},
    "dropout = nan must be at least 0 and below 1": {"dropout": float("nan")},
    "set lm_head_bias to false": {"tie_weights": True, "lm_head_bias": True},
    "n_layer = 2.0 must be of type int": {"n_layer": 2.0},
    "n_layer = True must be of type int": {"n_layer": True},
    "vocab_size = '65' must be of type int": {"vocab_size": "65"},
    "mlp_dim = 1.5 must be of type int | None": {"mlp_dim": 1.5},
    "bias = 1 must be of type bool": {"bias": 1},
    "dropout = None must be of type float": {"dropout": None},
    "dropout = False must be of type float": {"dropout": False},
    "norm = None must be of type str": {"norm": None},
}
WRONG_TRAINING = {
    **{
        f"{name} = 0 must be at least 1": {name: 0}
        for name in ("max_steps", "batch_size", "eval_every", "eval_sequences", "save_every", "sample_tokens")
    },
    **{
        f"{name} = -1 must not be negative": {name: -1}
        for name in ("warmup_steps", "weight_decay", "min_learning_rate", "sample_every")
    },
    **{f"{name} = 0 must be above 0": {name: 0} for name in ("learning_rate", "grad_clip")},
    **{f"{name} = 1 must be at least 0 and below 1": {name: 1} for name in ("beta1", "beta2")},
    "learning_rate = nan must be above 0": {"learning_rate": float("nan")},
    "min_learning_rate = 0.1 is above learning_rate = 0.01": {"learning_rate": 0.01, "min_learning_rate": 0.1},
    "seed = -1 must be": {"seed": -1},
    "seed = 9223372036854775808 must be": {"seed": 2**63},
    "max_steps = '10' must be of type int": {"max_steps": "10"},
    "sample_prompt = 1 must be of type str": {"sample_prompt": 1},
}


def one_sentence(error: pytest.ExceptionInfo) -> bool:
    message = str(error.value)
    return message.endswith(".") and ". " not in message and "\n" not in message


@pytest.mark.parametrize(("message", "changes"), WRONG_MODELS.items())
def test_a_wrong_model_gets_one_sentence(message, changes):
    with pytest.raises(UserError) as error:
        GPTConfig(**(SIZES | changes))
    assert message in str(error.value)
    assert one_sentence(error)


@pytest.mark.parametrize(("message", "changes"), WRONG_TRAINING.items())
def test_wrong_training_gets_one_sentence(message, changes):
    with pytest.raises(UserError) as error:
        TrainConfig(**changes)
    assert message in str(error.value)
    assert one_sentence(error)


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("here.json: n_embd = 16 is not divisible by n_head = 3", SIZES | {"n_head": 3}),
        ("here.json: n_layer = '2' must be of type int", SIZES | {"n_layer": "2"}),
        ("here.json has no field 'n_heads' (did you mean 'n_head'?); the fields are vocab", SIZES | {"n_heads": 2}),
        ("here.json has no field 'x'; the fields are vocab_size, ", SIZES | {"x": 1, "y": 2}),
        ("here.json lacks the field n_head, n_embd", {"vocab_size": 1, "block_size": 1, "n_layer": 1}),
        ("here.json holds [1] where a JSON object should be", [1]),
        ("here.json holds None where a JSON object should be", None),
    ],
)
def test_a_wrong_file_is_named(message, values):
    with pytest.raises(UserError) as error:
        GPTConfig.from_dict(values, "here.json")
    assert message in str(error.value)


def test_the_suggested_width_is_accepted():
    with pytest.raises(UserError, match="try n_embd = 18"):
        GPTConfig(**(SIZES | {"n_head": 6, "n_embd": 20}))
    assert GPTConfig(**(SIZES | {"n_head": 6, "n_embd": 18})).head_dim == 3


def test_what_follows_from_the_sizes():
    config = GPTConfig(**SIZES)
    assert (config.hidden_dim, config.head_dim) == (64, 8)
    assert config.replace(mlp_dim=10).hidden_dim == 10


def test_an_mlp_with_a_gate_is_narrower():
    assert GPTConfig(**SIZES, mlp="swiglu").hidden_dim == 8 * 16 // 3
    assert GPTConfig(**SIZES, mlp="swiglu", mlp_dim=9).hidden_dim == 9


def test_keys_and_values_have_as_many_heads_as_queries_unless_said_otherwise():
    assert GPTConfig(**SIZES).num_kv_heads == 2
    assert GPTConfig(**SIZES, n_kv_head=1).num_kv_heads == 1


def test_replace_leaves_the_original_and_checks_the_copy():
    config = GPTConfig(**SIZES)
    assert config.replace(n_embd=32).n_embd == 32
    assert config.n_embd == 16
    with pytest.raises(UserError, match="n_embd = 15 is not divisible"):
        config.replace(n_embd=15)
    with pytest.raises(UserError, match="no field 'width'"):
        config.replace(width=15)


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        GPTConfig(**SIZES).n_embd = 32


@given(
    n_head=st.integers(1, 8),
    head_dim=st.integers(1, 64),
    n_layer=st.integers(1, 99),
    mlp_dim=st.none() | st.integers(1, 99),
    dropout=st.floats(0, 1, exclude_max=True),
    bias=st.booleans(),
)
def test_a_model_survives_json(n_head, head_dim, n_layer, mlp_dim, dropout, bias):
    config = GPTConfig(
        vocab_size=5,
        block_size=7,
        n_layer=n_layer,
        n_head=n_head,
        n_embd=n_head * head_dim,
        mlp_dim=mlp_dim,
        dropout=dropout,
        bias=bias,
    )
    assert GPTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_training_survives_json():
    config = TrainConfig(max_steps=7, learning_rate=0.3, sample_prompt="é\n", grad_clip=float("inf"))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b": }', "line 2"),
        (b"", "line 1"),
        (b"\xff\xfe{", "is not UTF-8 text"),
        (b"[1, 2]", "must hold a JSON object, not a list"),
        (b"9" * 5000, "is not JSON that can be read"),
        (b"[" * 100_000, "is not JSON that can be read"),
    ],
)
def test_what_is_not_a_json_object_is_named(tmp_path, content, message):
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_json(path)
    assert str(path) in str(error.value) and message in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.json does not exist"):
        read_json(tmp_path / "nowhere.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_named(tmp_path):
    path = tmp_path / "secret.json"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(UserError, match="cannot be read"):
        read_json(path)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "any.json"
    path.write_bytes(content)
    try:
        assert isinstance(read_json(path), dict)
    except UserError as error:
        assert str(path) in str(error)
