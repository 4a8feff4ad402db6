"""Every arrangement of parts, in every wrapper, through every door: the same logits come back, or one sentence."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minigpt import GPT, CharTokenizer, GPTConfig, UserError, checkpoint
from minigpt.checkpoint.gpt2 import export_hf_gpt2, load_hf_gpt2
from minigpt.checkpoint.hub import from_pretrained, save_pretrained
from minigpt.checkpoint.web import export_web
from minigpt.model.layers import MLPS, NORMS
from minigpt.model.position import POSITION_EMBEDDINGS
from minigpt.model.quantization import fake_quantize

TOKENIZER = CharTokenizer("abcdefgh \n")
IDS = torch.randint(TOKENIZER.vocab_size, (2, 8), generator=torch.Generator().manual_seed(0))
NUMBERS = {"int8": np.dtype("i1"), "float16": np.dtype("<f2"), "float32": np.dtype("<f4")}

PARTS = st.fixed_dictionaries(
    {
        "position": st.sampled_from(sorted(POSITION_EMBEDDINGS)),
        "norm": st.sampled_from(sorted(NORMS)),
        "mlp": st.sampled_from(sorted(MLPS)),
        "mlp_dim": st.sampled_from([None, 20]),
        "bias": st.booleans(),
        "tie_weights": st.booleans(),
        "qk_norm": st.booleans(),
        "n_kv_head": st.sampled_from([None, 1, 2, 4]),
        "lm_head_bias": st.booleans(),
        "vocab_size": st.sampled_from([TOKENIZER.vocab_size, 16, 64]),
        "dropout": st.sampled_from([0.0, 0.5]),
    }
).filter(lambda parts: not (parts["tie_weights"] and parts["lm_head_bias"]))  # which no configuration has
OF_GPT2 = PARTS.map(
    lambda parts: (
        parts
        | {"position": "learned", "norm": "layernorm", "mlp": "gelu", "lm_head_bias": False, "qk_norm": False}
        | {"n_kv_head": parts["n_kv_head"] and 4}
    )
)
WRAPPERS = {
    "none": lambda model: model,
    "compile": lambda model: torch.compile(model, backend="eager"),
    "parallel": nn.DataParallel,
    "both": lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
}
LAYOUTS = {
    "as built": lambda model: None,
    "in one vector": lambda model: nn.utils.vector_to_parameters(
        nn.utils.parameters_to_vector(model.parameters()), model.parameters()
    ),
    "by columns": lambda model: [
        setattr(parameter, "data", parameter.data.T.contiguous().T)
        for parameter in model.parameters()
        if parameter.dim() == 2
    ],
    "in bfloat16": lambda model: model.bfloat16(),
}


def build(parts: dict, layout: str, training: bool) -> GPT:
    """A small model with weights so large that each of its parts matters."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=8, n_layer=2, n_head=4, n_embd=16, **parts))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    LAYOUTS[layout](model)
    return model.train(training)


def through_checkpoint(model: nn.Module, folder: Path) -> GPT:
    checkpoint.save(folder, model, TOKENIZER)
    return checkpoint.load(folder).model


def through_hub(model: nn.Module, folder: Path) -> GPT:
    save_pretrained(model, TOKENIZER, folder)
    return from_pretrained(folder).model


def through_hf(model: nn.Module, folder: Path) -> GPT:
    export_hf_gpt2(model, folder)
    return load_hf_gpt2(folder)


def through_web(model: nn.Module, folder: Path) -> GPT:
    """Export a model and build it again from nothing but the two files that a page fetches."""
    export_web(model, TOKENIZER, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    content = (folder / "weights.bin").read_bytes()

    def numbers(type: str, shape: list[int], offset: int) -> torch.Tensor:
        found = np.frombuffer(content, NUMBERS[type], int(np.prod(shape)), offset).reshape(shape)
        return torch.from_numpy(found.astype(np.float32))

    fields = GPTConfig.__dataclass_fields__
    read = GPT(GPTConfig(**{name: value for name, value in manifest["config"].items() if name in fields}))
    names = [name for name, _ in read.named_parameters()]
    assert names == list(manifest["tensors"])
    for name, place in manifest["tensors"].items():
        values = numbers(place["type"], place["shape"], place["offset"])
        if "scales" in place:
            values = values * numbers("float32", [place["shape"][0]], place["scales"]).unsqueeze(1)
        read.get_parameter(name).data = values
    return read.eval()


DOORS = {"checkpoint": through_checkpoint, "hub": through_hub, "hf": through_hf, "web": through_web}
ALWAYS_OPEN = ("checkpoint", "hub")


@torch.no_grad()
def expected_logits(model: GPT, door: str) -> torch.Tensor:
    """The logits of the numbers that are written, which are those of the model in float32, or rounded for a page."""
    exact = GPT(model.config)
    exact.load_state_dict({name: value.float() for name, value in model.state_dict().items()})
    return (fake_quantize(exact, "int8") if door == "web" else exact).eval()(IDS)


@torch.no_grad()
def assert_comes_back(door: str, model: GPT, wrapper: str) -> bool:
    """Send a model through a door; return whether it was let through."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    expected = expected_logits(model, door)
    with TemporaryDirectory() as place:
        folder = Path(place) / "model"
        try:
            read = DOORS[door](WRAPPERS[wrapper](model), folder)
        except UserError as error:
            said = str(error)
            assert said.endswith(".") and "\n" not in said and ". " not in said, said
            assert not folder.exists()
            assert door not in ALWAYS_OPEN, said
            return False
        assert not read.training and all(parameter.is_contiguous() for parameter in read.parameters())
        assert (read.lm_head.weight is read.token_embedding.weight) == model.config.tie_weights
        tolerance = {"rtol": 0, "atol": 0} if door in ALWAYS_OPEN else {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(read(IDS), expected, **tolerance)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return True


CASES = (st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(WRAPPERS)), st.booleans())


@pytest.mark.parametrize("door", DOORS)
@settings(max_examples=20)
@given(PARTS, *CASES)
def test_what_goes_through_a_door_comes_back_or_is_refused_in_one_sentence(door, parts, layout, wrapper, training):
    passed = assert_comes_back(door, build(parts, layout, training), wrapper)
    if door == "web":
        assert passed == (parts["position"] in ("none", "learned", "rope"))


@settings(max_examples=20)
@given(OF_GPT2, *CASES)
def test_every_gpt2_goes_through_the_door_of_hugging_face(parts, layout, wrapper, training):
    assert assert_comes_back("hf", build(parts, layout, training), wrapper)
