"""The cards of the shipped models: each figure agrees with the model itself, and with the README of its folder."""

import re

import pytest

from minigpt import UserError
from minigpt.notebook.models import shipped_model, shipped_models
from minigpt.planning.counting import num_parameters

MODELS = shipped_models()
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
every_trained = pytest.mark.parametrize("model", [m for m in MODELS if m.trained], ids=lambda model: model.name)


@every_model
def test_the_readme_has_the_same_number_of_parameters(model):
    assert f"{num_parameters(model.config):,}" in model.text
    assert f"{num_parameters(model.config):,}" in repr(model)


@every_trained
def test_the_readme_has_the_same_loss_and_bits(model):
    assert re.search(r"([\d.]+) nats per", model.facts["loss, whole validation part"])[1] in model.text
    assert f"{model.bits_per_character:.3f}" in model.text


@every_trained
def test_a_card_has_a_sample_a_licence_and_a_date(model):
    card = model._repr_markdown_()
    assert model.sample in card and model.licence in card
    assert model.run.header["machine"]["date"] in card


def test_a_model_without_weights_says_so_and_how_they_are_made():
    model = shipped_model("gpt2-small")
    assert model.facts["weights"] == "not trained yet"
    assert model.run is None and model.sample is None and model.bits_per_character is None
    assert "minigpt train" in model.section("How the weights are made")
    assert model.section("No such heading") == ""


def test_the_ones_without_weights_come_last():
    assert [model.trained for model in MODELS] == sorted((model.trained for model in MODELS), reverse=True)


def test_an_unknown_name_is_a_sentence():
    with pytest.raises(UserError, match="Nothing named 'checkpoints/huge'"):
        shipped_model("huge")
