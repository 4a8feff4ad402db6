"""What people reported of how others save models, tried on ours; `tests/cases/README.md` lists the addresses."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from minigpt import UserError, checkpoint
from minigpt.checkpoint.gpt2 import export_hf_gpt2, load_hf_gpt2
from minigpt.checkpoint.hub import from_pretrained, save_pretrained
from minigpt.model.quantization import to_decode_layout

IDS = torch.arange(8)[None]
TIED = pytest.mark.parametrize("tie_weights", [True, False])


def put_into_one_vector(model) -> None:
    vector = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(vector, model.parameters())


def give_the_head_the_data_of_the_embedding(model) -> None:
    model.lm_head.weight.data = model.token_embedding.weight.data


def assert_comes_back(model, tokenizer, folder) -> None:
    """Ask both forms in which a model is saved for the same logits."""
    expected = model.eval()(IDS)
    checkpoint.save(folder / "ours", model, tokenizer)
    assert torch.equal(checkpoint.load(folder / "ours").model(IDS), expected)
    export_hf_gpt2(model, folder / "theirs")
    torch.testing.assert_close(load_hf_gpt2(folder / "theirs")(IDS), expected, rtol=1e-5, atol=1e-6)


@TIED
def test_a_tied_matrix_is_written_once(make_model, tokenizer, tmp_path, tie_weights):
    """safetensors 98, 304; Megatron-Bridge 919; LlamaFactory 10137; transformers 22437, 33807."""
    model = make_model(tie_weights=tie_weights)
    assert_comes_back(model, tokenizer, tmp_path)
    written = load_file(tmp_path / "ours" / "model.safetensors")
    assert len({"lm_head.weight", "token_embedding.weight"} & written.keys()) == 2 - tie_weights
    loaded = checkpoint.load(tmp_path / "ours").model
    assert (loaded.lm_head.weight is loaded.token_embedding.weight) == tie_weights


@TIED
def test_parameters_that_lie_in_one_vector_are_saved(make_model, tokenizer, tmp_path, tie_weights):
    """safetensors 202: no suitable name to keep for saving, none is covering the entire storage."""
    model = make_model(tie_weights=tie_weights)
    put_into_one_vector(model)
    assert_comes_back(model, tokenizer, tmp_path)
    assert model.lm_head.weight.untyped_storage().nbytes() > model.lm_head.weight.nbytes  # and still lie there


def test_matrices_that_share_their_numbers_untied_come_back_as_two(make_model, tokenizer, tmp_path):
    """exllamav2 320; gemma 8: of two names for the same numbers only one was in the file."""
    model = make_model()
    give_the_head_the_data_of_the_embedding(model)
    assert_comes_back(model, tokenizer, tmp_path)
    assert model.lm_head.weight.data_ptr() == model.token_embedding.weight.data_ptr()


@TIED
def test_matrices_stored_by_columns_are_saved(make_model, tokenizer, tmp_path, tie_weights):
    """safetensors 469; ComfyUI 3923; transformers 34623; auto-round 1594: a non contiguous tensor."""
    model = to_decode_layout(make_model(tie_weights=tie_weights))
    assert not model.lm_head.weight.is_contiguous()
    assert_comes_back(model, tokenizer, tmp_path)


def test_a_model_is_saved_over_the_file_that_it_was_read_from(make_model, tokenizer, tmp_path):
    """safetensors 762; transformers 37713; SimpleTuner 2714; unsloth-zoo 190."""
    expected = make_model()(IDS)
    checkpoint.save(tmp_path / "saved", make_model(), tokenizer)
    for _ in range(2):
        model = checkpoint.load(tmp_path / "saved").model
        checkpoint.save(tmp_path / "saved", model, tokenizer)
        assert torch.equal(model(IDS), expected)
    assert torch.equal(checkpoint.load(tmp_path / "saved").model(IDS), expected)


def test_a_compiled_model_inside_data_parallel_is_saved_under_its_own_names(make_model, tokenizer, tmp_path):
    """nanoGPT 325; LLMs-from-scratch 580; train-llm-from-scratch 36; torchtune 1399; pytorch-image-models 2003."""
    model = make_model()
    wrapped = nn.DataParallel(torch.compile(model, backend="eager"))
    save_pretrained(wrapped, tokenizer, tmp_path / "hub")
    assert load_file(tmp_path / "hub" / "model.safetensors").keys() == model.state_dict().keys()
    assert torch.equal(from_pretrained(tmp_path / "hub").model(IDS), model(IDS))


def in_two_parts(model, folder) -> dict[str, str]:
    """Export a model with its tensors in two files and an index; return where the index says that each is."""
    export_hf_gpt2(model, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {name: f"model-0000{1 + (i >= 5)}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def test_a_missing_part_of_a_model_is_named(make_model, tmp_path):
    """vllm 34930; sglang 32279: the weights of the missing file were left as they were in memory."""
    in_two_parts(make_model(), tmp_path / "gpt2")
    (tmp_path / "gpt2" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="its part model-00002-of-00002.safetensors"):
        load_hf_gpt2(tmp_path / "gpt2")


@pytest.mark.parametrize("stale", [1, 2])
def test_the_index_says_which_of_two_tensors_is_read(make_model, tmp_path, stale):
    """mflux 603; mlx-vlm 1464: what a file still held from an earlier save overwrote what had just been written."""
    model = make_model()
    places = in_two_parts(model, tmp_path / "gpt2")
    path = tmp_path / "gpt2" / f"model-0000{stale}-of-00002.safetensors"
    tensors = load_file(path)
    other = next(name for name, file in places.items() if file != path.name)
    shape = load_file(tmp_path / "gpt2" / places[other])[other].shape
    save_file(tensors | {other: torch.zeros(shape)}, path)
    torch.testing.assert_close(load_hf_gpt2(tmp_path / "gpt2")(IDS), model(IDS), rtol=1e-5, atol=1e-6)


def test_a_tensor_that_is_not_where_the_index_says_is_named(make_model, tmp_path):
    """colibri 1487: every file is there, and yet a tensor is missing."""
    places = in_two_parts(make_model(), tmp_path / "gpt2")
    name = min(places)
    places[name] = "model-00002-of-00002.safetensors"
    (tmp_path / "gpt2" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(UserError, match=f"lacks 1 tensors, such as {name.removeprefix('transformer.')}"):
        load_hf_gpt2(tmp_path / "gpt2")


class Adapted(nn.Module):
    """A layer with a change of low rank."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base, self.rate = base, 0.7
        self.down, self.up = nn.Linear(16, 2, bias=False), nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.rate * self.up(self.down(x))

    def merged(self) -> nn.Linear:
        with torch.no_grad():
            self.base.weight += self.rate * self.up.weight @ self.down.weight
        return self.base


def test_adapters_are_never_left_out_and_merged_ones_are_saved(make_model, tokenizer, tmp_path):
    """alpaca-lora 19: the base's weights were exported; litgpt 960, torchtune 982, peft 1836: merging changed them."""
    model = make_model()
    for block in model.blocks:
        block.attention.qkv = Adapted(block.attention.qkv)
    expected = model(IDS)
    with pytest.raises(UserError, match=r"qkv is Adapted, .* merge adapters before you save"):
        checkpoint.save(tmp_path / "saved", model, tokenizer)
    for block in model.blocks:
        block.attention.qkv = block.attention.qkv.merged()
    torch.testing.assert_close(model(IDS), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, make_model()(IDS), atol=0.01)
    assert_comes_back(model, tokenizer, tmp_path)


def test_checksums_with_the_line_ends_of_windows_are_read(saved):
    """runner-images 32; PerformanceMonitor 2383; ksp 3137: a return was taken for a part of the file's name."""
    content = (saved / "SHA256SUMS").read_bytes()
    (saved / "SHA256SUMS").write_bytes(content.replace(b"\n", b"\r\n"))
    checkpoint.load(saved)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_with_other_line_ends_is_named_with_what_to_do(saved, name):
    """my_ai_town 24; ragent 129: a check-out under Windows changed every file that has a checksum."""
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content.replace(b"\n", b"\r\n"))
    with pytest.raises(UserError, match=f"{name} does not have the checksum .* or delete SHA256SUMS if you made"):
        checkpoint.load(saved)
    (saved / "SHA256SUMS").unlink()
    checkpoint.load(saved)
