"""Checkpoints: what is saved comes back to the bit, and what is damaged is named, never loaded."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest
import torch

from minigpt import CharTokenizer, LayerNorm, UserError, checkpoint
from minigpt.utils.files import CHECKSUM_FILE as CHECKSUMS
from minigpt.utils.files import backup_path

FILES = ["config.json", "model.safetensors", "tokenizer.json", "trainer.pt"]
STATE = {"step": 3, "best_loss": float("inf"), "generator": torch.arange(5), "nested": {"a": [1.5, None, "é"]}}


@pytest.fixture
def folder(tmp_path, model, tokenizer) -> Path:
    checkpoint.save(tmp_path / "one", model, tokenizer, STATE)
    return tmp_path / "one"


def same_weights(first, second) -> bool:
    first, second = first.state_dict(), second.state_dict()
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def load_everything(folder: Path) -> None:
    checkpoint.load(folder)
    checkpoint.read_trainer_state(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_weights": True},
        {"bias": False, "mlp_dim": 24},
        {"lm_head_bias": True, "position": "sinusoidal"},
        {"position": "none", "attn_impl": "naive", "dropout": 0.3},
    ],
)
def test_a_model_comes_back_to_the_bit(tmp_path, make_model, tokenizer, changes):
    model = make_model(**changes)
    checkpoint.save(tmp_path / "one", model, tokenizer)
    loaded, its_tokenizer = checkpoint.load(tmp_path / "one")
    assert loaded.config == model.config
    assert same_weights(loaded, model)
    assert its_tokenizer.to_dict() == tokenizer.to_dict()
    assert not loaded.training
    ids = torch.arange(8).unsqueeze(0)
    assert torch.equal(loaded(ids), model(ids))
    assert (loaded.lm_head.weight is loaded.token_embedding.weight) == model.config.tie_weights


def test_a_second_save_writes_the_same_bytes(tmp_path, folder):
    checkpoint.save(tmp_path / "two", *checkpoint.load(folder))
    for name in FILES[:3]:
        assert (tmp_path / "two" / name).read_bytes() == (folder / name).read_bytes()


def test_saving_leaves_the_model_alone(folder, make_model, tokenizer):
    model = make_model(tie_weights=True).train()
    state = torch.get_rng_state()
    checkpoint.save(folder, model, tokenizer)
    assert model.training and model.lm_head.weight is model.token_embedding.weight
    assert torch.equal(torch.get_rng_state(), state)


def test_the_folder_holds_what_it_should(folder, model, tokenizer):
    assert sorted(path.name for path in folder.iterdir()) == [CHECKSUMS, *FILES]
    assert json.loads((folder / "config.json").read_text()) == {
        "model": model.config.to_dict(),
        "custom_components": [],
    }
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1, "all files can be read by the same people"
    checkpoint.save(folder, model, tokenizer)
    assert not (folder / "trainer.pt").exists()


def test_the_trainers_state_comes_back(folder):
    state = checkpoint.read_trainer_state(folder)
    assert torch.equal(state.pop("generator"), STATE["generator"])
    assert state == {name: value for name, value in STATE.items() if name != "generator"}


def test_code_in_a_trainers_state_is_not_run(folder):
    (folder / CHECKSUMS).unlink()
    torch.save({"harm": Harm()}, folder / "trainer.pt")
    with pytest.raises(UserError, match=r"trainer\.pt is truncated or damaged"):
        checkpoint.read_trainer_state(folder)
    assert not Harm.done


class Harm:
    done = False

    def __reduce__(self):
        return (setattr, (Harm, "done", True))


class MyNorm(LayerNorm):
    pass


def test_a_replaced_component_has_to_be_given_again(tmp_path, make_model, tokenizer):
    model = make_model(factories={"norm": lambda config: MyNorm(config.n_embd)})
    checkpoint.save(tmp_path, model, tokenizer)
    with pytest.raises(UserError) as error:
        checkpoint.load(tmp_path)
    assert f"{tmp_path} was saved with a component of its own; give it again: load(folder, norm=…)." == str(error.value)
    loaded = checkpoint.load(tmp_path, norm=lambda config: MyNorm(config.n_embd)).model
    assert isinstance(loaded.final_norm, MyNorm) and same_weights(loaded, model)
    assert loaded.custom_components == ["norm"]


def test_a_runs_folder_stands_for_its_best_checkpoint(tmp_path, make_model, tokenizer):
    checkpoint.save(tmp_path / "last", make_model(1), tokenizer)
    assert same_weights(checkpoint.load(tmp_path).model, make_model(1))
    checkpoint.save(tmp_path / "best", make_model(2), tokenizer)
    assert same_weights(checkpoint.load(tmp_path).model, make_model(2))
    assert same_weights(checkpoint.load(str(tmp_path / "last")).model, make_model(1))


# --- damage


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError) as error:
        load_everything(folder)
    assert name in str(error.value) and str(folder) in str(error.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("with_checksums", [True, False])
def test_a_truncated_file_is_named(folder, name, with_checksums):
    if not with_checksums:
        (folder / CHECKSUMS).unlink()
    whole = (folder / name).read_bytes()
    text = whole.removesuffix(b"\n")  # a JSON file without its last line break is still whole
    for length in {0, 1, 8, 40, len(text) // 2, *range(0, len(text), 1024), len(text) - 2, len(text) - 1}:
        (folder / name).write_bytes(whole[:length])
        with pytest.raises(UserError) as error:
            load_everything(folder)
        assert str(folder / name) in str(error.value), f"{name} cut to {length} bytes"


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_named(folder, name):
    whole = (folder / name).read_bytes()
    chance = random.Random(0)
    for bit in chance.sample(range(8 * len(whole)), 40):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(damaged)
        with pytest.raises(UserError) as error:
            load_everything(folder)
        assert str(folder / name) in str(error.value), f"bit {bit} of {name}"


@pytest.mark.parametrize("name", FILES)
def test_without_checksums_a_flipped_bit_is_a_sentence_or_no_error(folder, name):
    (folder / CHECKSUMS).unlink()
    whole = (folder / name).read_bytes()
    chance = random.Random(1)
    for bit in chance.sample(range(8 * len(whole)), 150):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(damaged)
        try:
            load_everything(folder)
        except UserError as error:
            assert str(folder) in str(error), f"bit {bit} of {name}"


def mix(tmp_path, first, second, name: str) -> Path:
    """Save two checkpoints and give the first one a file of the second, as a careless copy would."""
    checkpoint.save(tmp_path / "first", *first)
    checkpoint.save(tmp_path / "second", *second)
    shutil.copy(tmp_path / "second" / name, tmp_path / "first" / name)
    return tmp_path / "first"


@pytest.mark.parametrize("name", FILES[:3])
def test_a_file_of_another_checkpoint_is_named(tmp_path, make_model, tokenizer, name):
    other = CharTokenizer(tokenizer.characters[::-1])
    folder = mix(tmp_path, (make_model(), tokenizer), (make_model(1, n_layer=1), other), name)
    with pytest.raises(UserError, match="does not have the checksum"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"n_layer": 3}, "config.json", "model.safetensors holds the weights of another architecture"),
        ({"n_embd": 8}, "model.safetensors", "model.safetensors holds the weights of another architecture"),
        ({"bias": False}, "model.safetensors", "model.safetensors holds the weights of another architecture"),
        ({"vocab_size": 5}, "config.json", "but the model only 5; these do not belong together"),
    ],
)
def test_without_checksums_files_that_do_not_fit_are_named(tmp_path, make_model, tokenizer, changes, name, message):
    other = CharTokenizer(tokenizer.characters[: changes.get("vocab_size")])
    folder = mix(tmp_path, (make_model(), tokenizer), (make_model(**changes), other), name)
    (folder / CHECKSUMS).unlink()
    with pytest.raises(UserError) as error:
        checkpoint.load(folder)
    assert message in str(error.value) and str(folder) in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "lacks the list 'custom_components'"),
        ({"model": {}, "custom_components": 5}, "lacks the list 'custom_components'"),
        ({"custom_components": []}, "holds None where a JSON object should be"),
        ({"model": [], "custom_components": []}, "holds [] where a JSON object should be"),
        ({"model": {"n_layer": 2}, "custom_components": []}, "lacks the field vocab_size"),
        ([], "must hold a JSON object"),
    ],
)
def test_a_config_of_something_else_is_named(folder, values, message):
    (folder / CHECKSUMS).unlink()
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(UserError) as error:
        checkpoint.load(folder)
    assert str(folder / "config.json") in str(error.value) and message in str(error.value)


def test_an_edited_file_is_accepted_once_the_checksums_are_gone(folder, model):
    values = json.loads((folder / "config.json").read_text())
    values["model"]["attn_impl"] = "naive"
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="or delete SHA256SUMS if you made the change yourself"):
        checkpoint.load(folder)
    (folder / CHECKSUMS).unlink()
    assert checkpoint.load(folder).model.config.attn_impl == "naive"


@pytest.mark.parametrize("name", FILES[1:])
def test_a_folder_in_the_place_of_a_file_is_named(folder, name):
    (folder / CHECKSUMS).unlink()
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(UserError) as error:
        load_everything(folder)
    assert str(folder / name) in str(error.value)


def test_a_folder_in_the_place_of_the_checksums_is_named(folder):
    (folder / CHECKSUMS).unlink()
    (folder / CHECKSUMS).mkdir()
    with pytest.raises(UserError, match=r"SHA256SUMS cannot be read \(Is a directory\)"):
        checkpoint.load(folder)


def test_a_damaged_best_checkpoint_is_named_and_last_is_no_substitute(tmp_path, make_model, tokenizer):
    for name in ("best", "last"):
        checkpoint.save(tmp_path / name, make_model(), tokenizer)
    (tmp_path / "best" / "config.json").unlink()
    with pytest.raises(UserError, match=r"best/config\.json does not exist"):
        checkpoint.load(tmp_path)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="holds no checkpoint .*; check the path, or train with"):
            checkpoint.load(folder)


def test_a_checkpoint_without_trainer_state_says_what_it_can_do(tmp_path, model, tokenizer):
    checkpoint.save(tmp_path, model, tokenizer)
    with pytest.raises(UserError, match=r"trainer\.pt does not exist; this checkpoint can generate, but not go on"):
        checkpoint.read_trainer_state(tmp_path)


# --- saves that fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


@pytest.mark.parametrize("size", [1, 50, 300, 5_000, 20_000, 40_000])
def test_a_full_disk_leaves_the_earlier_checkpoint(folder, model, make_model, tokenizer, full_disk, size):
    state = {"big": torch.zeros(20_000)}
    assert (folder / "model.safetensors").stat().st_size < 40_000, "at one size only the trainer's state is too large"
    with full_disk(size), pytest.raises(UserError) as error:
        checkpoint.save(folder, make_model(1), tokenizer, state)
    assert str(error.value).startswith(f"{folder} could not be saved (")
    assert "make room or choose another place (what was saved there before is intact)." in str(error.value)
    assert same_weights(checkpoint.load(folder).model, model)
    assert checkpoint.read_trainer_state(folder)["step"] == 3
    assert names(folder) == ["one"]


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_checkpoint(folder, make_model, tokenizer, killed_at):
    old, new = make_model(0), make_model(1)
    moment, seen = 0, []
    while True:
        moment += 1
        checkpoint.save(folder, old, tokenizer, STATE)
        killed = killed_at(moment, lambda: checkpoint.save(folder, new, tokenizer, STATE | {"step": 4}))
        loaded, step = checkpoint.load(folder).model, checkpoint.read_trainer_state(folder)["step"]
        assert same_weights(loaded, old if step == 3 else new), f"a kill at moment {moment} left a mixture"
        seen.append(step)
        if not killed:
            break
    assert seen == sorted(seen) and set(seen) == {3, 4}, "old until the swap, then new"
    assert names(folder) == ["one"]


def test_the_earlier_checkpoint_is_found_between_the_two_renames(folder, model):
    folder.rename(backup_path(folder))
    assert same_weights(checkpoint.load(folder).model, model)
    assert checkpoint.read_trainer_state(folder)["step"] == 3


def test_saving_never_replaces_what_is_not_a_checkpoint(tmp_path, folder, model, tokenizer):
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(UserError, match="exists and is not a checkpoint, and saving would replace it"):
            checkpoint.save(place, model, tokenizer)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert names(folder) == ["notes.txt", "one"]
    (tmp_path / "empty").mkdir()
    checkpoint.save(tmp_path / "empty", model, tokenizer)
    assert same_weights(checkpoint.load(tmp_path / "empty").model, model)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(folder, model, tokenizer):
    folder.parent.chmod(0o555)
    try:
        with pytest.raises(UserError, match=r"one cannot be written \(Permission denied\); choose another place"):
            checkpoint.save(folder, model, tokenizer)
    finally:
        folder.parent.chmod(0o755)


def test_a_path_with_spaces_and_letters_of_all_kinds(tmp_path, model, tokenizer):
    folder = tmp_path / "mein Größtes モデル [1]"
    checkpoint.save(folder, model, tokenizer)
    assert same_weights(checkpoint.load(folder).model, model)
