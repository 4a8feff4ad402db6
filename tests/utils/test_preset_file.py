"""A preset of the reader's own: it works wherever a name does, and every mistake in it is found at its line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import TrainConfig, UserError, model_preset, preset_names, training_preset
from minigpt.config import load_preset, read_preset
from minigpt.utils.json_lines import field_lines

GOOD = """{
  "description": "One of my own: with \\"n_head\\": 3 in it.",
  "model": {
    "vocab_size": 65,
    "block_size": 8,
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 16
  },
  "training": {
    "max_steps": 5,
    "learning_rate": 0.01
  }
}
"""

# (what to replace, with what, what the sentence says after the file's name)
MISTAKES = [
    ('"n_head": 2', '"n_heads": 2', ", line 7: \"model\" has no field 'n_heads' (did you mean 'n_head'?); the fields"),
    ('"n_head": 2', '"n_head": "2"', ", line 7: \"model\": n_head = '2' must be of type int."),
    ('"n_head": 2', '"n_head": null', ', line 7: "model": n_head = None must be of type int.'),
    ('"n_head": 2,\n', "", ', line 3: "model" lacks the field n_head; add it and try again.'),
    ('"n_head": 2', '"n_head": 0', ', line 7: "model": n_head = 0 must be at least 1.'),
    ('"n_embd": 16', '"n_embd": 15', ', line 8: "model": n_embd = 15 is not divisible by n_head = 2; try n_embd = 16'),
    ('"n_embd": 16', '"n_embd": 16, "norm": "batch"', ", line 8: The configuration asks for norm = 'batch'; choose"),
    ('"n_embd": 16', '"n_embd": 16, "bias": "no"', ", line 8: \"model\": bias = 'no' must be of type bool."),
    ('"n_embd": 16', '"n_embd": 16 16', ", line 8: "),
    ('"n_embd": 16', '"n_embd": 16,\n"n_layer": 3', ", line 9: 'n_layer' is defined twice; keep one of them."),
    ('"n_embd": 16', '"n_embd": 16, "n_embd": 16', ", line 8: 'n_embd' is defined twice; keep one of them."),
    ('"max_steps": 5', '"max_step": 5', ", line 11: \"training\" has no field 'max_step' (did you mean 'max_steps'?)"),
    ('"max_steps": 5', '"max_steps": 5.5', ', line 11: "training": max_steps = 5.5 must be of type int.'),
    ("0.01", "0.00001", ', line 12: "training": min_learning_rate = 0.0001 is above learning_rate = 1e-05; lower'),
    ("0.01", "NaN", ', line 12: "training": learning_rate = nan must be above 0.'),
    ('"model": {', '"modle": {', ", line 3: a preset has no 'modle' (did you mean 'model'?); it has description,"),
    (
        '"training": {',
        '"n_head": 3, "training": {',
        ", line 10: 'n_head' must be inside a section; move it into \"model\".",
    ),
    (
        '"training": {',
        '"seed": 3, "training": {',
        ", line 10: 'seed' must be inside a section; move it into \"training\".",
    ),
    (
        '"training": {',
        '"training": [], "trainin": {',
        ", line 10: a preset has no 'trainin' (did you mean 'training'?)",
    ),
    ('"description": "One', '"description": 1, "": "', ", line 2: a preset has no ''; it has description,"),
]


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my own.json"
    path.write_text(GOOD)
    return path


def test_a_file_works_wherever_a_name_does(own):
    for name in (own, str(own)):
        assert model_preset(name, n_layer=3).n_layer == 3
        assert model_preset(name).n_embd == 16
        assert training_preset(name) == TrainConfig(max_steps=5, learning_rate=0.01)
        assert load_preset(name).description.startswith("One of my own")


def test_only_the_model_must_be_there(own):
    own.write_text(json.dumps({"model": json.loads(GOOD)["model"]}))
    assert (training_preset(own), load_preset(own).description) == (TrainConfig(), "")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_being_printed(name, tmp_path):
    path = tmp_path / "copy.json"
    path.write_text(load_preset(name).to_json())
    assert read_preset(path) == load_preset(name)


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES)
def test_every_mistake_is_named_with_its_line(own, old, new, sentence):
    assert GOOD.count(old) == 1
    own.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        model_preset(own)
    message = str(error.value)
    assert message.startswith(f"{own}{sentence}")
    assert message.endswith(".") and ". " not in message and "\n" not in message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "{}",
            'has no "model", the object that holds the sizes; `minigpt presets tiny_char --json` shows a whole one.',
        ),
        ('{"model": 3}', 'line 1: "model" holds 3 where a JSON object should be'),
        ('{"model": {}, "description": 3}', "line 1: description = 3 must be a text in quotes."),
        ('{"model": {}, "model": {}}', "'model' is defined twice"),
        ('{"model": {}}', '"model" lacks the field vocab_size, block_size, n_layer, n_head, n_embd'),
    ],
)
def test_what_is_no_preset_is_named(own, content, sentence):
    own.write_text(content)
    with pytest.raises(UserError) as error:
        training_preset(own)
    assert sentence in str(error.value)


def test_a_missing_file_and_a_forgotten_ending_are_named(own, monkeypatch):
    with pytest.raises(UserError, match=r"nowhere\.json does not exist; check the path"):
        model_preset("nowhere.json")
    monkeypatch.chdir(own.parent)
    with pytest.raises(UserError, match=r"There is no preset 'my own' \(did you mean 'my own\.json'\?\)"):
        model_preset("my own")
    assert model_preset("my own.json").n_embd == 16


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()])
def test_an_editor_on_windows_does_no_harm(own, content):
    own.write_bytes(content)
    assert model_preset(own).n_embd == 16
    own.write_bytes(content.replace(b"16", b"17"))
    with pytest.raises(UserError, match="line 8"):
        model_preset(own)


@given(st.integers(0, len(GOOD) - 1), st.text('{}[]",:-.0123456789aentu\n', max_size=3), st.booleans())
def test_any_slip_of_the_keyboard_is_a_preset_or_a_sentence(tmp_path_factory, place, typed, deletes):
    path = tmp_path_factory.mktemp("slip") / "my.json"
    path.write_text(GOOD[:place] + typed + GOOD[place + deletes :])
    try:
        assert load_preset(path).model.n_layer > 0
    except UserError as error:
        assert str(path) in str(error) and str(error).endswith(".")


@given(
    st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.dictionaries(st.text(), st.lists(st.text())))),
    st.sampled_from([None, 0, 2]),
)
def test_every_field_is_found_in_any_object(values, indent):
    text = json.dumps(values, indent=indent)
    lines = field_lines(text, Path("any.json"))
    expected = {(name,) for name in values}
    expected |= {(name, inner) for name, value in values.items() if isinstance(value, dict) for inner in value}
    assert set(lines) == expected
    for name, line in lines.items():
        assert json.dumps(name[-1]) in text.splitlines()[line - 1]
