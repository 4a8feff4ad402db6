"""The presets: their exact sizes, and what a wrong name gives."""

import pytest
import torch

from minigpt import (
    GPT,
    GPTConfig,
    TrainConfig,
    UserError,
    count_parameters,
    model_preset,
    preset_names,
    training_preset,
)
from minigpt.config import load_preset

PARAMETERS = {  # written out, since some are published and all follow from their sizes
    "tiny_char": 1_844_928,
    "tiny-modern": 3_165_344,
    "tiny-shakespeare": 3_221_825,
    "medium-char": 3_322_368,
    "plays-bpe": 3_737_856,
    "tiny-384": 10_795_776,
    "small_char": 10_818_432,
    "tiny": 11_454_144,
    "small": 30_036_864,
    "tinystories-33M": 30_142_848,
    "modern-12x384": 40_541_952,
    "gpt2": 124_439_808,
    "gpt2-small-32k": 134_601_216,
    "150M": 152_101_632,
    "150M_1024": 152_691_456,
    "200M": 199_472_000,
    "200M_1024": 200_160_128,
    "250M": 253_133_824,
    "250M_1024": 253_920_256,
    "350M_1024": 354_599_936,
    "500M_1024": 537_621_760,
}


def by_hand(config: GPTConfig) -> int:
    """Count the parameters of a GPT as the chapter on the transformer does, without building it."""
    width, hidden, biases = config.n_embd, config.hidden_dim, int(config.bias)
    norm = width * (1 + biases)
    attention = width * 3 * width + width * width + biases * (3 * width + width)
    attention += 2 * config.head_dim * int(config.qk_norm)
    gates = int(config.mlp == "swiglu")
    mlp = (1 + gates) * width * hidden + hidden * width + biases * ((1 + gates) * hidden + width)
    embeddings = config.vocab_size * width + (config.block_size * width if config.position == "learned" else 0)
    head = 0 if config.tie_weights else config.vocab_size * width + int(config.lm_head_bias) * config.vocab_size
    return embeddings + config.n_layer * (2 * norm + attention + mlp) + norm + head


def built(config: GPTConfig) -> int:
    with torch.device("meta"):
        return count_parameters(GPT(config))


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_every_preset_has_exactly_its_size(name, parameters):
    assert built(model_preset(name)) == by_hand(model_preset(name)) == parameters


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_recommends_a_training_and_describes_itself(name):
    assert isinstance(training_preset(name), TrainConfig)
    assert load_preset(name).description.endswith(".")


@pytest.mark.parametrize(
    "changes", [{}, {"tie_weights": True}, {"bias": False}, {"lm_head_bias": True}, {"mlp_dim": 7}]
)
def test_parameters_follow_from_the_sizes(changes):
    config = GPTConfig(vocab_size=11, block_size=5, n_layer=3, n_head=2, n_embd=12, **changes)
    assert built(config) == by_hand(config)


def test_every_preset_is_counted_here():
    assert preset_names() == sorted(PARAMETERS)


def test_character_presets_differ_from_their_twins_in_the_vocabulary_only():
    for name in ("tiny", "small"):
        assert model_preset(name, vocab_size=256) == model_preset(f"{name}_char")
        assert training_preset(name) == training_preset(f"{name}_char")


def test_fields_change_by_keyword():
    assert model_preset("tiny_char", vocab_size=65) == model_preset("tiny_char").replace(vocab_size=65)
    assert model_preset("tiny_char").vocab_size == 256
    assert training_preset("tiny_char", max_steps=3).max_steps == 3


def test_a_wrong_change_is_named():
    with pytest.raises(UserError, match="n_embd = 7 is not divisible"):
        model_preset("tiny_char", n_embd=7)
    with pytest.raises(UserError, match="no field 'n_heads'"):
        model_preset("tiny_char", n_heads=2)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(UserError) as error:
        model_preset("tiny_shakespear")
    assert str(error.value) == (
        "There is no preset 'tiny_shakespear' (did you mean 'tiny-shakespeare'?); "
        f"the presets are {', '.join(preset_names())}."
    )
    with pytest.raises(UserError, match=r"tinystories-33M\.$"):
        training_preset("something else")
