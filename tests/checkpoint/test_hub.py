"""Models on the hub, which is a folder here: what goes there comes back, and nothing but known files is fetched."""

import json
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

from minigpt import LayerNorm, UserError, checkpoint, load_tokenizer
from minigpt.checkpoint.gpt2 import export_hf_gpt2
from minigpt.checkpoint.hub import HUB_FILES, from_pretrained, push_to_hub, save_pretrained

library = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")


class Hub:
    """A folder that plays the hub, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[dict] = []
        self.made: list[dict] = []
        self.trouble: Exception | None = None

    def snapshot_download(self, name: str, *, revision: str | None = None, allow_patterns: list[str]) -> str:
        self.asked.append({"name": name, "revision": revision, "allow_patterns": allow_patterns})
        if self.trouble:
            raise self.trouble
        place = self.folder / "cache" / name
        place.mkdir(parents=True, exist_ok=True)
        for path in (self.folder / name).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, place)
        return str(place)

    def create_repo(self, name: str, **settings) -> str:
        if self.trouble:
            raise self.trouble
        self.made.append({"name": name, **settings})
        return f"https://the-hub/{name}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, allow_patterns: list[str], **settings) -> None:
        self.made[-1] |= settings
        place = self.folder / repo_id
        place.mkdir(parents=True, exist_ok=True)
        for path in Path(folder_path).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, place)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr(library, "snapshot_download", hub.snapshot_download)
    monkeypatch.setattr(library, "HfApi", lambda **settings: hub)
    return hub


@pytest.fixture
def pushed(hub, model, tokenizer) -> Hub:
    push_to_hub(model, tokenizer, "ada/small")
    return hub


IDS = torch.tensor([[1, 2, 3]])


def said(*arguments, **named) -> str:
    with pytest.raises(UserError) as error:
        from_pretrained(*arguments, **named)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- a folder


def test_a_folder_comes_back_with_a_card(tmp_path, model, tokenizer):
    save_pretrained(model, tokenizer, tmp_path / "small")
    assert {path.name for path in (tmp_path / "small").iterdir()} == set(HUB_FILES)
    assert "# small\n" in (tmp_path / "small" / "README.md").read_text()
    back = from_pretrained(tmp_path / "small")
    assert torch.equal(back.model(IDS), model(IDS)) and back.tokenizer.characters == tokenizer.characters
    save_pretrained(model, tokenizer, tmp_path / "small", name="Ada's own")
    assert "# Ada's own\n" in (tmp_path / "small" / "README.md").read_text()


def test_no_other_folder_is_replaced(tmp_path, model, tokenizer):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(UserError, match="is not a checkpoint, and saving would replace it"):
        save_pretrained(model, tokenizer, tmp_path / "letters")
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]


def test_a_folder_has_no_revision(saved):
    assert "is a folder, which has no revisions" in said(saved, revision="main")


# --- there and back


def test_what_is_pushed_can_be_fetched(hub, model, tokenizer):
    assert push_to_hub(model, tokenizer, "ada/small", revision="trial") == "https://the-hub/ada/small"
    made = hub.made[0]
    assert (made["name"], made["private"], made["exist_ok"], made["revision"]) == ("ada/small", True, True, "trial")
    assert {path.name for path in (hub.folder / "ada/small").iterdir()} == set(HUB_FILES)
    back = from_pretrained("ada/small")
    assert torch.equal(back.model(IDS), model(IDS)) and back.tokenizer.characters == tokenizer.characters
    push_to_hub(model, tokenizer, "ada/small", private=False)
    assert hub.made[1]["private"] is False


def test_a_revision_can_be_pinned(pushed):
    from_pretrained("ada/small", revision="0a1b2c3")
    assert pushed.asked[-1]["revision"] == "0a1b2c3"


def test_only_files_of_known_names_are_fetched(pushed):
    for name in ("pytorch_model.bin", "trainer.pt", "modeling.py", "config.json.py"):
        (pushed.folder / "ada/small" / name).write_bytes(b"harm")
    from_pretrained("ada/small")
    assert {path.name for path in (pushed.folder / "cache/ada/small").iterdir()} == set(HUB_FILES)
    assert not any(set("*?[") & set(pattern) or "/" in pattern for pattern in pushed.asked[-1]["allow_patterns"])


def test_a_component_of_ones_own_is_given_again(hub, make_model, tokenizer):
    model = make_model(factories={"norm": lambda config: LayerNorm(config.n_embd)})
    push_to_hub(model, tokenizer, "ada/own")
    assert "give it again: load(folder, norm=…)" in said("ada/own")
    assert torch.equal(from_pretrained("ada/own", norm=lambda config: LayerNorm(config.n_embd)).model(IDS), model(IDS))


# --- what is not to be had


@pytest.mark.parametrize(
    "name",
    [
        *("nobody", "../small", "ada/..", "ada/../small", "ada/small/more", "ada//small", "ada/small\n", "ada/.small"),
        *(
            "/ada/small",
            "https://hub/ada/small",
            "ada/sma ll",
            "ádá/small",
            "ada/small..evil",
            "ada\\small",
            "-a/small",
        ),
    ],
)
def test_what_is_no_name_is_never_asked_for(hub, model, tokenizer, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert "name a folder, or a model on the hub as owner/model" in said(name)
    with pytest.raises(UserError, match="cannot be the name of a model on the hub"):
        push_to_hub(model, tokenizer, name)
    assert not hub.asked and not hub.made


def test_trouble_on_the_way_is_one_sentence(hub, model, tokenizer):
    hub.trouble = OSError("401 Client Error.\nA long explanation\nin many lines")
    found = said("ada/secret", revision="v2")
    assert "no folder ada/secret, and no model of that name at revision 'v2' could be had" in found
    assert "(OSError: 401 Client Error)" in found and "log in with `hf auth login`" in found
    with pytest.raises(UserError, match=r"ada/small could not be uploaded \(OSError: 401 Client Error\); log in"):
        push_to_hub(model, tokenizer, "ada/small")


def test_without_the_library_both_ways_say_so(monkeypatch, model, tokenizer):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "needs the package huggingface_hub; pip install huggingface_hub" in said("ada/small")
    with pytest.raises(UserError, match="needs the package huggingface_hub"):
        push_to_hub(model, tokenizer, "ada/small")


def test_the_library_itself_is_asked_rightly(monkeypatch, tmp_path, no_network):
    monkeypatch.setattr(library.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(library.constants, "HF_HUB_CACHE", str(tmp_path))
    assert "no model of that name at revision 'main' could be had" in said("ada/small", revision="main")


def test_a_missing_file_is_named(pushed):
    (pushed.folder / "ada/small/model.safetensors").rename(pushed.folder / "ada/small/pytorch_model.bin")
    assert "ada/small on the hub has no model.safetensors, and no other form of it is read" in said("ada/small")


def test_another_librarys_model_is_sent_to_the_import(hub, model, tmp_path):
    export_hf_gpt2(model, hub.folder / "ada" / "theirs")
    assert "type 'gpt2'" in said("ada/theirs") and "minigpt import hf ada/theirs --out" in said("ada/theirs")


@pytest.mark.parametrize("changes", [{"n_layer": 10**9}, {"vocab_size": 10**9}, {"n_embd": 2 * 10**6}])
def test_a_configuration_cannot_ask_for_more_memory_than_its_weights_take(pushed, changes):
    place = pushed.folder / "ada/small"
    values = json.loads((place / "config.json").read_text())
    values["model"] |= changes
    (place / "config.json").write_text(json.dumps(values))
    (place / "SHA256SUMS").unlink()
    assert "of model.safetensors cannot hold" in said("ada/small")


def test_a_damaged_file_is_noticed(pushed):
    (pushed.folder / "ada/small/tokenizer.json").write_text('{"kind": "char", "characters": "ab"}')
    assert "does not have the checksum" in said("ada/small")


# --- the command


def test_a_gpt2_on_the_hub_is_imported(hub, minigpt, make_model, tokenizer, tmp_path):
    model = make_model(tie_weights=True)
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    assert minigpt("export", "hf", "--checkpoint", tmp_path / "saved", "--out", hub.folder / "ada/theirs")[0] == 0
    (hub.folder / "ada/theirs/minigpt-tokenizer.json").unlink()
    code, _, err = minigpt("import", "hf", "ada/theirs", "--out", tmp_path / "back", "--revision", "v1")
    assert (code, err) == (0, "") and hub.asked[-1]["revision"] == "v1"
    assert torch.equal(checkpoint.load(tmp_path / "back").model(IDS), model(IDS))
    assert load_tokenizer(tmp_path / "back" / "tokenizer.json").characters == tokenizer.characters
    code, _, err = minigpt("import", "hf", "nowhere", "--out", tmp_path / "again")
    assert code == 1 and "'nowhere' does not exist; name a folder, or a model on the hub as owner/model" in err
