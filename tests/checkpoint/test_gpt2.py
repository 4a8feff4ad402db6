"""GPT-2's weights in and out: logits equal those of transformers both ways, and bad folders give one sentence."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from minigpt import (
    GPT,
    CharTokenizer,
    GPTConfig,
    LayerNorm,
    UserError,
    checkpoint,
    count_parameters,
    generate,
    model_preset,
)
from minigpt.checkpoint.gpt2 import export_hf_gpt2, hf_name, is_conv1d_weight, load_hf_gpt2
from minigpt.tokenizer.bpe import BPETokenizer

SHAPES = [
    {"vocab_size": 33, "block_size": 12, "n_layer": 3, "n_head": 4, "n_embd": 24},
    {"vocab_size": 7, "block_size": 5, "n_layer": 1, "n_head": 1, "n_embd": 6, "mlp_dim": 11},
    {"vocab_size": 50, "block_size": 30, "n_layer": 2, "n_head": 8, "n_embd": 64, "mlp_dim": 100},
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape['n_layer']}x{shape['n_embd']}")
tied_or_not = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


@pytest.fixture(scope="module")
def transformers():
    found = pytest.importorskip("transformers", reason="transformers is not installed")
    found.logging.set_verbosity_error()
    found.logging.disable_progress_bar()
    return found


@pytest.fixture
def make_theirs(transformers):
    """A GPT-2 of Hugging Face's with weights large enough that every part of it matters."""

    def make(shape: dict, tied: bool, **changes):
        sizes = {"n_positions" if name == "block_size" else name: size for name, size in shape.items()}
        sizes["n_inner"] = sizes.pop("mlp_dim", None)
        config = transformers.GPT2Config(
            **sizes, tie_word_embeddings=tied, bos_token_id=None, eos_token_id=None, **changes
        )
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return model

    return make


@pytest.fixture
def folder(tmp_path, make_model) -> Path:
    """A small untied GPT-2 in Hugging Face's layout."""
    export_hf_gpt2(make_model(), tmp_path / "gpt2")
    return tmp_path / "gpt2"


def agree(ours: GPT, theirs) -> None:
    ids = torch.randint(ours.config.vocab_size, (2, ours.config.block_size))
    with torch.no_grad():
        expected = theirs(ids).logits
        assert_close(ours(ids), expected, atol=1e-4 * expected.std().item(), rtol=1e-4)
    assert count_parameters(ours) == theirs.num_parameters()


def edit(path: Path, **changes) -> None:
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))


def rewrite(folder: Path, change) -> None:
    """Replace the tensors of a folder by what `change` makes of them."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


def said(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        load_hf_gpt2(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


# --- the same logits


@every_shape
@tied_or_not
def test_their_weights_give_their_logits_here(tmp_path, make_theirs, shape, tied):
    theirs = make_theirs(shape, tied)
    theirs.save_pretrained(tmp_path)
    ours = load_hf_gpt2(tmp_path)
    assert (ours.lm_head.weight is ours.token_embedding.weight) == tied
    assert not ours.training and all(parameter.requires_grad for parameter in ours.parameters())
    agree(ours, theirs)


@every_shape
@tied_or_not
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_our_weights_give_our_logits_there(tmp_path, make_model, transformers, shape, tied, bias):
    ours = make_model(**shape, tie_weights=tied, bias=bias)
    export_hf_gpt2(ours, tmp_path / "out")
    theirs, found = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(found.values()), "tensors are missing or left over"
    agree(ours if bias else load_hf_gpt2(tmp_path / "out"), theirs)
    ids = torch.randint(ours.config.vocab_size, (1, 4))
    assert_close(ours(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)


def test_every_tensor_of_the_real_gpt2_has_its_place(transformers):
    with torch.device("meta"):
        theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config())
        ours = GPT(model_preset("gpt2"))
    there = {name.removeprefix("transformer."): tuple(each.shape) for name, each in theirs.named_parameters()}
    here = {hf_name(name): (tuple(each.shape), is_conv1d_weight(name)) for name, each in ours.named_parameters()}
    assert there == {name: shape[::-1] if turned else shape for name, (shape, turned) in here.items()}
    assert count_parameters(ours) == theirs.num_parameters() == 124_439_808


@given(
    n_layer=st.integers(1, 3),
    n_head=st.integers(1, 3),
    head_dim=st.integers(1, 5),
    vocab_size=st.integers(1, 9),
    mlp_dim=st.none() | st.integers(1, 20),
    tie_weights=st.booleans(),
    dropout=st.sampled_from([0.0, 0.1]),
)
def test_there_and_back_is_the_same_model(tmp_path_factory, n_head, head_dim, **sizes):
    config = GPTConfig(block_size=4, n_head=n_head, n_embd=n_head * head_dim, **sizes)
    model = GPT(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    folder = tmp_path_factory.mktemp("export") / "gpt2"
    export_hf_gpt2(model, folder)
    back = load_hf_gpt2(folder)
    assert back.config == config.replace(mlp_dim=config.hidden_dim)
    assert all(
        torch.equal(a, b) and b.is_contiguous() for a, b in zip(model.parameters(), back.parameters(), strict=True)
    )


@tied_or_not
def test_what_came_in_can_be_trained_saved_and_loaded(tmp_path, make_model, tied):
    model = make_model(tie_weights=tied)
    export_hf_gpt2(model, tmp_path / "gpt2")
    (tmp_path / "gpt2" / "model.safetensors").chmod(0o644)
    inside = load_hf_gpt2(tmp_path / "gpt2")
    (tmp_path / "gpt2" / "model.safetensors").write_bytes(b"")  # the model does not live in the file
    inside(torch.tensor([[1, 2, 3]])).square().sum().backward()
    torch.optim.SGD(inside.parameters(), lr=0.01).step()
    tokenizer = CharTokenizer("abc")
    checkpoint.save(tmp_path / "checkpoint", inside, tokenizer)
    again = checkpoint.load(tmp_path / "checkpoint").model
    assert (again.lm_head.weight is again.token_embedding.weight) == tied
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(again(ids), inside(ids)) and not torch.allclose(again(ids), model(ids))


# --- the forms that such folders come in


def test_a_file_without_prefixes_and_with_masks(folder):
    before = load_hf_gpt2(folder).state_dict()

    def older(tensors):
        plain = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
        masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 8, 8).tril() for layer in range(2)}
        return plain | masks | {"h.0.attn.masked_bias": torch.tensor(-1e4)}

    rewrite(folder, older)
    after = load_hf_gpt2(folder).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_another_precision_becomes_float32(folder, dtype):
    before = load_hf_gpt2(folder)
    rewrite(folder, lambda tensors: {name: tensor.to(dtype) for name, tensor in tensors.items()})
    after = load_hf_gpt2(folder)
    assert all(parameter.dtype == torch.float32 for parameter in after.parameters())
    assert_close(after.token_embedding.weight, before.token_embedding.weight, atol=1e-2, rtol=1e-2)


def test_a_tied_head_may_stand_in_the_file_as_well(tmp_path, make_model):
    export_hf_gpt2(make_model(tie_weights=True), tmp_path / "tied")
    rewrite(tmp_path / "tied", lambda tensors: tensors | {"lm_head.weight": tensors["transformer.wte.weight"].clone()})
    assert load_hf_gpt2(tmp_path / "tied").config.tie_weights
    rewrite(tmp_path / "tied", lambda tensors: tensors | {"lm_head.weight": tensors["lm_head.weight"] + 1})
    assert "set tie_word_embeddings to false" in said(tmp_path / "tied")
    edit(tmp_path / "tied" / "config.json", tie_word_embeddings=False)
    untied = load_hf_gpt2(tmp_path / "tied")
    assert_close(untied.lm_head.weight, untied.token_embedding.weight + 1)


def test_what_the_configuration_leaves_out_is_as_in_gpt2(folder):
    for field in ("activation_function", "layer_norm_epsilon", "scale_attn_weights", "n_inner", "resid_pdrop"):
        edit(folder / "config.json", **{field: ...})
    config = load_hf_gpt2(folder).config
    assert (config.mlp_dim, config.dropout) == (None, 0.1)
    edit(folder / "config.json", tie_word_embeddings=...)
    assert "has besides 1 tensors" not in said(folder) and "tie_word_embeddings" in said(folder)


# --- folders that are no GPT-2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llama"}, "has model_type 'llama' where 'gpt2' should be; only GPT-2 is read here"),
        ({"model_type": ..., "custom_components": []}, "read a checkpoint of minigpt with checkpoint.load"),
        ({"activation_function": "gelu"}, "says activation_function = 'gelu', but minigpt computes with 'gelu_new'"),
        ({"layer_norm_epsilon": 1e-6}, "says layer_norm_epsilon = 1e-06"),
        ({"scale_attn_by_inverse_layer_idx": True}, "says scale_attn_by_inverse_layer_idx = True"),
        ({"n_embd": ..., "n_head": ...}, "lacks n_head, n_embd; copy the folder again"),
        ({"n_head": 3}, "n_embd = 16 is not divisible by n_head = 3"),
        ({"n_layer": "2"}, "n_layer = '2' must be of type int"),
        ({"n_layer": 3}, "lacks 12 tensors, such as h.2.attn.c_attn.bias"),
        ({"n_layer": 1}, "has besides 12 tensors, such as h.1.attn.c_attn.bias"),
        ({"n_positions": 9}, "wpe.weight is (8, 16) of torch.float32, which does not fit config.json"),
        ({"n_inner": 65}, "h.0.mlp.c_fc.weight is (16, 64)"),
    ],
)
def test_a_configuration_of_something_else_is_named(folder, changes, message):
    edit(folder / "config.json", **changes)
    assert message in said(folder)


def test_a_missing_folder_or_file_is_named(tmp_path, folder):
    assert "config.json does not exist; check the path" in said(tmp_path / "nowhere")
    (folder / "model.safetensors").rename(folder / "aside")
    assert "does not exist; copy the folder again" in said(folder)
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert "load the folder with transformers and write it with save_pretrained" in said(folder)


@pytest.mark.parametrize("size", [0, 5, 100, 5000])
def test_a_truncated_file_is_named(folder, size):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:size])
    assert "is truncated or damaged" in said(folder)


def test_whole_numbers_are_no_weights(folder):
    rewrite(
        folder, lambda tensors: tensors | {"transformer.wte.weight": tensors["transformer.wte.weight"].to(torch.int8)}
    )
    assert "wte.weight is (21, 16) of torch.int8" in said(folder)


# --- models that are no GPT-2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lm_head_bias": True}, "has lm_head_bias = True, but GPT-2's layout can hold only False"),
        ({"qk_norm": True}, "has qk_norm = True, but GPT-2's layout can hold only False"),
        ({"n_kv_head": 1}, "has n_kv_head = 1, but in GPT-2's layout each of the 2 heads has keys and values of its"),
        ({"position": "sinusoidal"}, "has position = 'sinusoidal', but GPT-2's layout can hold only 'learned'"),
        ({"position": "rope"}, "has position = 'rope'"),
        ({"norm": "rmsnorm"}, "has norm = 'rmsnorm', but GPT-2's layout can hold only 'layernorm'"),
        ({"mlp": "swiglu"}, "has mlp = 'swiglu', but GPT-2's layout can hold only 'gelu'"),
        ({"factories": {"norm": lambda config: LayerNorm(config.n_embd)}}, "was built with its own norm"),
    ],
)
def test_a_model_that_the_layout_cannot_hold_is_named(tmp_path, make_model, changes, message):
    with pytest.raises(UserError, match=message):
        export_hf_gpt2(make_model(**changes), tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_an_export_never_replaces_anything(folder, make_model):
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="exists already; choose another name"):
        export_hf_gpt2(make_model(1), folder)
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_full_disk_leaves_nothing(tmp_path, make_model, full_disk):
    with full_disk(5_000), pytest.raises(UserError, match="could not be saved .*make room or choose another place"):
        export_hf_gpt2(make_model(), tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_the_id_that_ends_a_text_is_told(tmp_path, make_model):
    export_hf_gpt2(make_model(), tmp_path / "out", end_of_text=3)
    values = json.loads((tmp_path / "out" / "config.json").read_text())
    assert values["bos_token_id"] == values["eos_token_id"] == 3


def test_the_commands_take_a_model_out_and_back_in(tmp_path, make_model, tokenizer, minigpt):
    model = make_model(tie_weights=True)
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    code, out, err = minigpt("export", "hf", "--checkpoint", tmp_path / "saved", "--out", tmp_path / "out")
    assert code == 0 and f"{count_parameters(model):,} parameters" in out
    code, out, err = minigpt("import", "hf", tmp_path / "out", "--out", tmp_path / "back")
    assert code == 0 and f"{count_parameters(model):,} parameters" in out
    back, its_tokenizer = checkpoint.load(tmp_path / "back")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(back(ids), model(ids)) and its_tokenizer.characters == tokenizer.characters
    code, out, err = minigpt("export", "hf", "--checkpoint", tmp_path / "saved", "--out", tmp_path / "out")
    assert code == 1 and "exists already; choose another name" in err
    for name in ("minigpt-tokenizer.json", "tokenizer.json"):
        (tmp_path / "out" / name).unlink()
    code, out, err = minigpt("import", "hf", tmp_path / "out", "--out", tmp_path / "again")
    assert code == 1 and "has no minigpt-tokenizer.json, and its 21 tokens are not GPT-2's 50257" in err
    assert not (tmp_path / "again").exists()


def test_the_end_of_a_text_is_the_tokenizers(tmp_path, make_model, minigpt):
    tokenizer = BPETokenizer.train("a small text, and a small one", 260)
    checkpoint.save(tmp_path / "saved", make_model(vocab_size=tokenizer.vocab_size), tokenizer)
    assert minigpt("export", "hf", "--checkpoint", tmp_path / "saved", "--out", tmp_path / "out")[0] == 0
    values = json.loads((tmp_path / "out" / "config.json").read_text())
    assert values["eos_token_id"] == tokenizer.special_tokens["<|endoftext|>"]


@pytest.mark.parametrize("kind", ["characters", "subwords"])
def test_a_pipeline_of_theirs_continues_a_text_as_we_do(tmp_path, make_model, text, minigpt, transformers, kind):
    tokenizer = CharTokenizer.from_text(text) if kind == "characters" else BPETokenizer.train(text, 290, special=())
    model = make_model(vocab_size=tokenizer.vocab_size, block_size=48, tie_weights=True, bias=False)
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    code, out, _ = minigpt("export", "hf", "--checkpoint", tmp_path / "saved", "--out", tmp_path / "out")
    assert code == 0 and "transformers.pipeline('text-generation', " in out
    pipeline = transformers.pipeline("text-generation", str(tmp_path / "out"))
    for prompt in ("a small model", "\ncome  next. ", "again,"):
        theirs = pipeline(prompt, do_sample=False, max_new_tokens=20)[0]["generated_text"]
        assert theirs == generate(model, tokenizer, prompt, max_new_tokens=20, temperature=0)


def test_a_vocabulary_that_they_cannot_hold_stays_behind(tmp_path, make_model, minigpt):
    tokenizer = BPETokenizer([bytes([value]) for value in range(256)] + [b"abc"])
    checkpoint.save(tmp_path / "saved", make_model(vocab_size=257), tokenizer)
    code, out, _ = minigpt("export", "hf", "--checkpoint", tmp_path / "saved", "--out", tmp_path / "out")
    assert code == 0 and "transformers gets no tokenizer: The token b'abc' is not the merger" in out
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".json", ".json", ".safetensors"]


def test_a_tokenizer_that_cuts_otherwise_is_refused(tmp_path, make_model, minigpt):
    export_hf_gpt2(make_model(), tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_text('{"model": {"type": "Unigram", "vocab": []}}')
    code, _, err = minigpt("import", "hf", tmp_path / "theirs", "--out", tmp_path / "back")
    assert code == 1 and "tokenizer.json: It cuts text as no tokenizer of minigpt does" in err
