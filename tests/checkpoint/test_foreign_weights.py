"""Weights in the forms that people have: in parts, PyTorch's own, nanoGPT's; and ids that stand for no token."""

import json
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from minigpt import BPETokenizer, UserError, checkpoint
from minigpt.checkpoint.gpt2 import export_hf_gpt2, load_hf_gpt2, to_hf
from minigpt.checkpoint.nanogpt import load_nanogpt
from minigpt.tokenizer.hf import to_hf_tokenizer

IDS = torch.tensor([[1, 2, 3, 4]])


@pytest.fixture
def model(make_model):
    return make_model(tie_weights=True)


@pytest.fixture
def folder(tmp_path, model) -> Path:
    export_hf_gpt2(model, tmp_path / "gpt2")
    return tmp_path / "gpt2"


def in_parts(folder: Path, write, ending: str) -> None:
    """Put the tensors of a folder into three files and an index, as transformers does."""
    tensors = load_file(folder / "model.safetensors")
    stem = "model" if ending == "safetensors" else "pytorch_model"
    places = {}
    for number in range(3):
        name = f"{stem}-{number + 1:05d}-of-00003.{ending}"
        part = dict(list(tensors.items())[number::3])
        write(part, folder / name)
        places |= dict.fromkeys(part, name)
    (folder / f"{stem}.{ending}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "model.safetensors").unlink()


FORMS = {
    "safetensors in parts": lambda folder: in_parts(folder, save_file, "safetensors"),
    "PyTorch's in parts": lambda folder: in_parts(folder, torch.save, "bin"),
    "PyTorch's": lambda folder: (
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin"),
        (folder / "model.safetensors").unlink(),
    ),
    "PyTorch's, the older form": lambda folder: (
        torch.save(
            load_file(folder / "model.safetensors"),
            folder / "pytorch_model.bin",
            _use_new_zipfile_serialization=False,
        ),
        (folder / "model.safetensors").unlink(),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_the_same_model(folder, model, form):
    FORMS[form](folder)
    assert torch.equal(load_hf_gpt2(folder)(IDS), model(IDS))


@pytest.mark.parametrize("form", ["safetensors in parts", "PyTorch's in parts"])
def test_a_missing_or_damaged_part_is_named(folder, form):
    FORMS[form](folder)
    part = sorted(folder.glob("*-00002-of-*"))[0]
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=rf"its part {part.name}: the file is truncated or damaged"):
        load_hf_gpt2(folder)
    part.unlink()
    with pytest.raises(UserError, match=rf"its part {part.name}: the file does not exist"):
        load_hf_gpt2(folder)


@pytest.mark.parametrize("places", [None, [], {"a": 7}, {"a": "../outside.safetensors"}, {"a": "/etc/hosts"}])
def test_an_index_leads_to_no_other_folder(folder, places):
    FORMS["safetensors in parts"](folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(UserError, match="names no files of this folder under weight_map"):
        load_hf_gpt2(folder)


class Trap:
    """An object whose reading would make a file."""

    def __reduce__(self):
        return open, ("trapped", "w")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", pickle.dumps(Trap(), 2), pickle.dumps({"a": 1}, 2)], ids=range(4))
def test_nothing_but_tensors_is_read_from_pytorchs_files(folder, monkeypatch, content):
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(UserError, match="truncated or damaged, or holds more than tensors; copy it again, or load"):
        load_hf_gpt2(folder)
    torch.save({"wte.weight": torch.ones(2), "more": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="holds more than tensors"):
        load_hf_gpt2(folder)
    assert not (folder / "trapped").exists()


# --- nanoGPT


def nanogpt_tensors(model, prefix="") -> dict:
    """A model's tensors as nanoGPT writes them: Hugging Face's names, and no matrix turned."""
    turned = {name for name in to_hf(model) if name.endswith(".weight")}
    turned = {name for name in turned if any(part in name for part in ("c_attn", "c_proj", "c_fc"))}
    tensors = {name: tensor.T.contiguous() if name in turned else tensor for name, tensor in to_hf(model).items()}
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
    if not model.config.bias:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(".bias")}
    return {prefix + name: tensor for name, tensor in tensors.items()}


def write_nanogpt(path: Path, model, prefix="", /, **changes) -> Path:
    config = model.config
    sizes = {name: getattr(config, name) for name in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size")}
    optimizer = torch.optim.AdamW(model.parameters())
    model(IDS).sum().backward()
    optimizer.step() if changes.pop("stepped", False) else None
    values = {
        "model": nanogpt_tensors(model, prefix),
        "optimizer": optimizer.state_dict(),
        "model_args": sizes | {"bias": config.bias, "dropout": 0.0},
        "iter_num": 5,
        "best_val_loss": torch.tensor(1.5),
        "config": {"dataset": "shakespeare_char", "learning_rate": 1e-3},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(values | changes, path)
    return path


def nanogpts_logits(tensors: dict, config, ids, approximate: str) -> torch.Tensor:
    """What nanoGPT's model.py computes, written out."""
    get = lambda name: tensors.get(f"transformer.{name}")  # noqa: E731
    norm = lambda x, name: F.layer_norm(x, (config.n_embd,), get(f"{name}.weight"), get(f"{name}.bias"))  # noqa: E731
    linear = lambda x, name: F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))  # noqa: E731
    x = get("wte.weight")[ids] + get("wpe.weight")[: ids.size(1)]
    for layer in range(config.n_layer):
        parts = linear(norm(x, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn").chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (config.n_head, -1)).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + linear(seen, f"h.{layer}.attn.c_proj")
        hidden = F.gelu(linear(norm(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc"), approximate=approximate)
        x = x + linear(hidden, f"h.{layer}.mlp.c_proj")
    return F.linear(norm(x, "ln_f"), tensors["lm_head.weight"])


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("bias", [True, False])
def test_nanogpts_logits_are_ours(tmp_path, make_model, prefix, bias):
    model = make_model(tie_weights=True, bias=bias)
    loaded = load_nanogpt(write_nanogpt(tmp_path / "ckpt.pt", model, prefix))
    tensors = nanogpt_tensors(model)
    with torch.no_grad():
        assert torch.equal(loaded(IDS), model(IDS))
        assert_close(loaded(IDS), nanogpts_logits(tensors, model.config, IDS, "tanh"), atol=1e-5, rtol=1e-5)
        exact = nanogpts_logits(tensors, model.config, IDS, "none")
        assert_close(loaded(IDS), exact, atol=5e-3 * exact.std().item(), rtol=0)
    assert loaded.lm_head.weight is loaded.token_embedding.weight and not loaded.training


def test_what_it_holds_besides_is_left_out(tmp_path, model):
    masks = {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 8, 8).tril() for layer in range(2)}
    path = write_nanogpt(tmp_path / "ckpt.pt", model, stepped=True)
    values = torch.load(path)
    torch.save(values | {"model": values["model"] | masks}, path)
    load_nanogpt(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "has no tensors under 'model' and no sizes under 'model_args'"),
        ({"model_args": {"n_layer": 2}}, "its model_args lack vocab_size, block_size, n_head, n_embd"),
        ({"config": Trap()}, "is truncated or damaged, or holds more than tensors, numbers and texts"),
        ({"model": {"transformer.wte.weight": torch.ones(2, 2)}}, "so it is not the GPT-2 that model_args describes"),
    ],
)
def test_what_is_none_is_named(tmp_path, model, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    path = write_nanogpt(tmp_path / "ckpt.pt", model, **changes)
    with pytest.raises(UserError, match=message) as error:
        load_nanogpt(path)
    assert str(path) in str(error.value) and not (tmp_path / "trapped").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.pt does not exist; check the path"):
        load_nanogpt(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("named", ["file", "folder"])
def test_the_command_takes_nanogpts_model_with_its_characters(tmp_path, make_model, minigpt, named):
    characters = "\n abcdefghijklmnopqr."
    model = make_model(vocab_size=len(characters), tie_weights=True, bias=False)
    path = write_nanogpt(tmp_path / "out" / "ckpt.pt", model, "_orig_mod.")
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps({"itos": dict(enumerate(characters)), "stoi": {}}))
    source = path if named == "file" else path.parent
    code, out, err = minigpt("import", "hf", source, "--out", tmp_path / "none")
    assert code == 1 and "its 21 tokens are not GPT-2's 50257" in err and "name it with --tokenizer" in err
    given = ("--tokenizer", tmp_path / "meta.pkl", "--out", tmp_path / "back")
    code, out, err = minigpt("import", "hf", source, *given)
    assert code == 0 and "nanoGPT's GELU is exact" in out, err
    back, tokenizer = checkpoint.load(tmp_path / "back")
    assert tokenizer.characters == characters and torch.equal(back(IDS), model(IDS))


# --- the tokenizer of a folder


TRAINING = "der Hund und die Katze, the cat's 1234 mats; the  end\n" * 3


@pytest.fixture
def own() -> BPETokenizer:
    return BPETokenizer.train(TRAINING, 280)


def write_two_files(folder: Path, tokenizer: BPETokenizer) -> None:
    values = to_hf_tokenizer(tokenizer)["model"]
    (folder / "vocab.json").write_text(json.dumps(values["vocab"] | tokenizer.special_tokens))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in values["merges"]), ""]
    (folder / "merges.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("spare", [0, 23])
def test_a_folder_keeps_its_own_vocabulary(tmp_path, make_model, own, minigpt, monkeypatch, spare):
    monkeypatch.setattr(BPETokenizer, "gpt2", lambda: pytest.fail("another vocabulary was taken"))
    model = make_model(vocab_size=own.vocab_size + spare, tie_weights=True)
    export_hf_gpt2(model, tmp_path / "theirs")
    write_two_files(tmp_path / "theirs", own)
    code, out, err = minigpt("import", "hf", tmp_path / "theirs", "--out", tmp_path / "back")
    assert code == 0, err
    assert ("23 of the model's 303 ids stand for no token; they are never drawn" in out) == (spare > 0)
    assert checkpoint.load(tmp_path / "back").tokenizer.to_dict() == own.to_dict()


def test_where_gpt2s_vocabulary_is_taken_it_is_said(tmp_path, make_model, minigpt, monkeypatch, own):
    padded = BPETokenizer(own.tokens, [f"<{n}>" for n in range(50_257 - len(own.tokens))])
    monkeypatch.setattr(BPETokenizer, "gpt2", lambda: padded)
    export_hf_gpt2(make_model(vocab_size=50_304, n_embd=2, n_head=1, tie_weights=True), tmp_path / "theirs")
    code, out, err = minigpt("import", "hf", tmp_path / "theirs", "--out", tmp_path / "back")
    assert code == 0 and "theirs has no tokenizer, so GPT-2's own vocabulary is taken" in out, err


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(tmp_path, make_model, own, minigpt):
    export_hf_gpt2(make_model(vocab_size=own.vocab_size - 1, tie_weights=True), tmp_path / "theirs")
    write_two_files(tmp_path / "theirs", own)
    code, _, err = minigpt("import", "hf", tmp_path / "theirs", "--out", tmp_path / "back")
    assert code == 1 and "has 279 ids, and its tokenizer 280 tokens" in err and not (tmp_path / "back").exists()
