"""A model for a web page: the manifest says where every number stands, and what the page cannot compute is refused."""

import html
import json
import re

import numpy as np
import pytest
import torch

from minigpt import BPETokenizer, CharTokenizer, LayerNorm, UserError
from minigpt.checkpoint.web import export_web, quantization_loss
from minigpt.model.quantization import quantize_weights
from minigpt.utils.files import sha256_file

NUMPY = {"int8": np.int8, "float16": "<f2", "float32": "<f4"}


def read(folder, tensor) -> torch.Tensor:
    """What a page reads of a tensor."""
    content, shape = (folder / "weights.bin").read_bytes(), tensor["shape"]
    numbers = np.frombuffer(content, NUMPY[tensor["type"]], np.prod(shape), tensor["offset"]).reshape(shape)
    restored = torch.from_numpy(numbers.astype(np.float32))
    if "scales" in tensor:
        scales = np.frombuffer(content, "<f4", shape[0], tensor["scales"])
        restored = restored * torch.from_numpy(scales.copy()).unsqueeze(1)
    return restored


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_every_number_stands_where_the_manifest_says(tmp_path, make_model, tokenizer, precision):
    model = make_model(n_embd=18, n_head=3, tie_weights=True)
    manifest = export_web(model, tokenizer, tmp_path / "web", precision)
    assert json.loads((tmp_path / "web" / "manifest.json").read_text()) == manifest
    for name, stored in quantize_weights(model, precision).items():
        assert torch.equal(read(tmp_path / "web", manifest["tensors"][name]), stored.dequantize())
        assert manifest["tensors"][name]["offset"] % 4 == 0
    assert "lm_head.weight" not in manifest["tensors"]
    assert manifest["weights"]["sha256"] == sha256_file(tmp_path / "web" / "weights.bin")
    assert manifest["weights"]["bytes"] == (tmp_path / "web" / "weights.bin").stat().st_size


def test_the_sizes_that_follow_from_others_are_written_out(tmp_path, make_model, tokenizer):
    config = export_web(make_model(mlp="swiglu"), tokenizer, tmp_path / "web")["config"]
    assert (config["n_kv_head"], config["mlp_dim"], config["head_dim"]) == (2, 42, 8)


def test_the_same_model_gives_the_same_file(tmp_path, model, tokenizer):
    assert export_web(model, tokenizer, tmp_path / "a") == export_web(model, tokenizer, tmp_path / "b")


def test_the_loss_is_measured_with_both_weights(model, data):
    found = quantization_loss(model, "int8", data.validation, "a text")
    assert found["text"] == "a text" and found["tokens"] == len(data.validation) - 1
    assert 0 < abs(found["rounded_loss"] - found["loss"]) < 0.1


def test_what_the_page_cannot_compute_is_refused(tmp_path, make_model, tokenizer):
    with pytest.raises(UserError, match=r"built with its own norm, which the page does not know"):
        export_web(make_model(factories={"norm": lambda config: LayerNorm(config.n_embd)}), tokenizer, tmp_path / "web")
    with pytest.raises(UserError, match=r"position = 'alibi', but the page computes none, learned, rope only"):
        export_web(make_model(position="alibi"), tokenizer, tmp_path / "web")
    with pytest.raises(UserError, match=r"reads subwords \(a tokenizer of kind 'bpe'\)"):
        export_web(make_model(), BPETokenizer.train("a small text", vocab_size=260), tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_an_existing_folder_is_left_alone(tmp_path, model, tokenizer):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"exists already; choose another name"):
        export_web(model, tokenizer, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_command_exports_and_measures(minigpt, saved, text_file, tmp_path):
    code, out, err = minigpt(
        "export", "web", saved, "--out", tmp_path / "web", "--text", text_file, "--precision", "fp16"
    )
    assert code == 0, err
    assert "bytes of weights in fp16" in out and "nats per token with" in out
    manifest = json.loads((tmp_path / "web" / "manifest.json").read_text())
    assert manifest["validation"]["text"] == "my text.txt"
    assert manifest["precision"] == "fp16"


def test_the_command_says_that_nothing_was_measured(minigpt, saved, tmp_path):
    code, out, _ = minigpt("export", "web", saved, "--out", tmp_path / "web")
    assert code == 0 and "The loss was not measured; name a text" in out
    assert json.loads((tmp_path / "web" / "manifest.json").read_text())["validation"] is None
    assert minigpt("export", "web", saved, "--out", tmp_path / "web")[0] == 1


@pytest.mark.parametrize("characters", ["\\", "<&", "\n", "\nabcdehT ROMEO:"])
def test_the_page_begins_with_a_prompt_that_the_model_can_read(tmp_path, make_model, characters):
    tokenizer = CharTokenizer("".join(sorted(set(characters))))
    export_web(make_model(vocab_size=tokenizer.vocab_size), tokenizer, tmp_path / "web", page=True)
    page = (tmp_path / "web" / "index.html").read_text("utf-8")
    prompt = html.unescape(re.search(r"<textarea[^>]*>\n(.*)</textarea>", page, re.DOTALL)[1])
    assert prompt == ("ROMEO:\n" if "ROMEO:" in characters else tokenizer.decode([0]))
    assert not (tmp_path / "web" / "playground" / "panel.html").exists()
    export_web(make_model(vocab_size=tokenizer.vocab_size), tokenizer, tmp_path / "bare")
    assert {path.name for path in (tmp_path / "bare").iterdir()} == {"manifest.json", "weights.bin"}
