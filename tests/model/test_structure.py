"""What is saved is what will be read: models in every wrapper, and with every kind of exchanged part."""

import copy
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

from minigpt import GPT, Trainer, UserError, checkpoint, generate
from minigpt.checkpoint.gpt2 import export_hf_gpt2, load_hf_gpt2
from minigpt.checkpoint.hub import save_pretrained
from minigpt.checkpoint.web import export_web
from minigpt.model.layers import MLP, LayerNorm, RMSNorm, SquaredReLUMLP
from minigpt.model.quantization import fake_quantize
from minigpt.model.structure import check_structure, unwrap_model


class LoRALinear(nn.Module):
    """A frozen linear layer and a low-rank change of it, as many notebooks write it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down, self.up = nn.Linear(base.in_features, 2, bias=False), nn.Linear(2, base.out_features, bias=False)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


class OtherGPT(GPT):
    def forward(self, ids, kv_cache=None):
        return 2 * super().forward(ids, kv_cache)


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


def exchange(path: str, make):
    """Return a change of a model that replaces the module at a path by what `make` makes of it."""

    def change(model: GPT) -> GPT:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, make(model.get_submodule(path)))
        return model

    return change


def tie_by_hand(model: GPT) -> GPT:
    model.lm_head.weight = model.token_embedding.weight
    return model


def drop_a_block(model: GPT) -> GPT:
    model.blocks = model.blocks[:1]
    return model


def patch_forward(model: GPT) -> GPT:
    mlp = model.blocks[0].mlp
    mlp.forward = lambda x: x
    return model


def other_eps(model: GPT) -> GPT:
    model.final_norm.eps = 1e-3
    return model


def to_meta(model: GPT) -> GPT:
    return model.to("meta")


CHANGES = {
    "LoRA": (exchange("blocks.0.attention.qkv", LoRALinear), "blocks.0.attention.qkv is LoRALinear"),
    "a norm of another kind": (exchange("final_norm", lambda old: RMSNorm(16)), "final_norm is RMSNorm"),
    "PyTorch's norm": (exchange("final_norm", lambda old: nn.LayerNorm(16)), r"final_norm(\.\w+)? is"),
    "a wider MLP": (exchange("blocks.1.mlp", lambda old: MLP(16, 80)), r"blocks.1.mlp.down.weight is \(16, 80\)"),
    "an MLP of another kind": (exchange("blocks.1.mlp", lambda old: SquaredReLUMLP(16, 64)), "is SquaredReLUMLP"),
    "weight norm": (exchange("lm_head", parametrizations.weight_norm), "lm_head"),
    "spectral norm": (exchange("blocks.0.mlp.up", parametrizations.spectral_norm), "blocks.0.mlp.up"),
    "pruning": (exchange("lm_head", lambda old: prune.l1_unstructured(old, "weight", 0.5)), "lm_head.weight"),
    "a compiled block": (exchange("blocks.0", compiled), "blocks.0 is Opt"),
    "a grown vocabulary": (
        exchange("token_embedding", lambda old: nn.Embedding(old.num_embeddings + 5, 16)),
        "token_embedding.weight is",
    ),
    "a head tied by hand": (tie_by_hand, "are tied, but the configuration says tie_weights = False"),
    "a block fewer": (drop_a_block, "blocks.1 is nothing, but the model's configuration builds Block"),
    "a patched forward": (patch_forward, "The forward pass of blocks.0.mlp is not the one"),
    "another epsilon": (other_eps, "final_norm.eps is 0.001, but the model's configuration builds it with 1e-05"),
    "doubles": (lambda model: model.double(), r"is of type torch.float64, which is not saved; call model.float\(\)"),
    "no numbers": (to_meta, "has no numbers"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_exchanged_part_is_refused_before_anything_is_written(make_model, tokenizer, data, tmp_path, change):
    alter, sentence = CHANGES[change]
    model = alter(make_model(n_layer=2, n_embd=16))
    with pytest.raises(UserError, match=sentence):
        checkpoint.save(tmp_path / "saved", model, tokenizer)
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("door", ["hf", "web", "hub"])
def test_no_door_lets_an_exchanged_part_through(make_model, tokenizer, tmp_path, change, door):
    alter, sentence = CHANGES[change]
    model = alter(make_model(n_layer=2, n_embd=16))
    doors = {
        "hf": lambda: export_hf_gpt2(model, tmp_path / "out"),
        "web": lambda: export_web(model, tokenizer, tmp_path / "out"),
        "hub": lambda: save_pretrained(model, tokenizer, tmp_path / "out", name="mine"),
    }
    with pytest.raises(UserError, match=sentence):
        doors[door]()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tie_weights", [True, False])
def test_a_compiled_model_is_exported_with_its_own_numbers(make_model, tmp_path, bias, tie_weights):
    model = make_model(bias=bias, tie_weights=tie_weights)
    export_hf_gpt2(compiled(model), tmp_path / "out")
    ids = torch.randint(model.config.vocab_size, (2, 8))
    torch.testing.assert_close(load_hf_gpt2(tmp_path / "out")(ids), model.eval()(ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model."])
def test_a_wrappers_prefix_is_named_when_a_gpt2_is_imported(make_model, tmp_path, prefix):
    export_hf_gpt2(make_model(), tmp_path / "out")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    save_file({prefix + name: value for name, value in weights.items()}, tmp_path / "out" / "model.safetensors")
    with pytest.raises(UserError, match=f"its names begin with '{prefix}', which .* puts there"):
        load_hf_gpt2(tmp_path / "out")


@pytest.mark.parametrize("change", ["LoRA", "a grown vocabulary", "a head tied by hand"])
def test_a_run_that_could_not_be_read_again_is_refused_at_the_start(
    make_model, tokenizer, data, train_config, tmp_path, change
):
    alter, sentence = CHANGES[change]
    model = alter(make_model(n_layer=2, n_embd=16))
    with pytest.raises(UserError, match=sentence):
        Trainer(model, data, train_config, tokenizer=tokenizer, folder=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_another_forward_pass_and_another_model_are_refused(make_model):
    model = make_model()
    with pytest.raises(UserError, match=r"OtherGPT\.forward is not the one"):
        check_structure(OtherGPT(model.config))
    with pytest.raises(UserError, match="Linear is not a GPT of minigpt"):
        check_structure(nn.Linear(2, 2))
    assert unwrap_model(compiled(model)) is model


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_weights": True},
        {"lm_head_bias": True},
        {"bias": False, "position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "qk_norm": True, "zero_init": True},
        {"position": "alibi", "n_kv_head": 1, "mlp": "relu2"},
        {"position": "sinusoidal", "activation_checkpointing": "block", "dropout": 0.3},
        {"position": "none", "attn_impl": "naive"},
    ],
)
@pytest.mark.parametrize("wrap", [lambda model: model, compiled, lambda model: nn.DataParallel(compiled(model))])
def test_what_a_configuration_builds_is_saved_from_inside_any_wrapper(make_model, tokenizer, tmp_path, changes, wrap):
    model = make_model(**changes)
    checkpoint.save(tmp_path / "saved", wrap(model), tokenizer)
    ids = torch.randint(tokenizer.vocab_size, (2, 8))
    assert torch.equal(checkpoint.load(tmp_path / "saved").model(ids), model.eval()(ids))


def test_parts_given_to_the_model_when_it_was_built_are_its_readers_matter(make_model, tokenizer, tmp_path):
    class MyNorm(LayerNorm):
        pass

    config = make_model().config
    model = GPT(config, norm=lambda config: MyNorm(config.n_embd))
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    model.blocks[0].mlp = SquaredReLUMLP(config.n_embd, config.hidden_dim)
    with pytest.raises(UserError, match="is SquaredReLUMLP"):
        checkpoint.save(tmp_path / "saved", model, tokenizer)


def test_half_precision_and_rounded_weights_are_saved(make_model, tokenizer, tmp_path):
    model = make_model()
    for changed in (copy.deepcopy(model).bfloat16(), fake_quantize(model, "int8")):
        checkpoint.save(tmp_path / "saved", changed, tokenizer)
        assert torch.equal(checkpoint.load(tmp_path / "saved").model.lm_head.weight, changed.lm_head.weight.float())


def test_a_compiled_model_is_trained_and_its_checkpoints_can_be_read(
    make_model, tokenizer, data, train_config, tmp_path
):
    expected = [
        record.loss for record in Trainer(make_model(), data, train_config, tokenizer=tokenizer, device="cpu").run()
    ]
    network = compiled(make_model())
    trainer = Trainer(network, data, train_config, tokenizer=tokenizer, folder=tmp_path / "run", device="cpu")
    assert [record.loss for record in trainer.run()] == pytest.approx(expected, rel=1e-5)
    assert trainer.compiled_model is network
    assert checkpoint.load(tmp_path / "run").model.config == trainer.model.config


def test_a_tokenizer_larger_than_the_model_is_refused(make_model, tokenizer, data, train_config, tmp_path):
    model = make_model(vocab_size=tokenizer.vocab_size - 1)
    with pytest.raises(UserError, match="The tokenizer has .* tokens but the model only"):
        checkpoint.save(tmp_path / "saved", model, tokenizer)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model."])
def test_a_wrappers_prefix_is_named_when_weights_are_read(make_model, tokenizer, tmp_path, prefix):
    model = make_model()
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    weights = {prefix + name: value.clone() for name, value in model.state_dict().items()}
    save_file(weights, tmp_path / "saved" / "model.safetensors")
    (tmp_path / "saved" / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=f"its names begin with '{prefix}', which .* puts there"):
        checkpoint.load(tmp_path / "saved")


class OwnModel(nn.Module):
    """A model that a reader has written from nothing, with no more than a context."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(block_size=8, vocab_size=vocab_size)
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, ids):
        return self.table(ids)


def test_a_readers_own_model_is_trained_and_writes_but_is_not_saved(tokenizer, data, train_config, tmp_path):
    model = OwnModel(tokenizer.vocab_size)
    records = list(Trainer(model, data, train_config.replace(sample_every=0), device="cpu").run())
    assert records[-1].loss < records[0].loss
    del model.config.vocab_size
    assert len(generate(model, tokenizer, tokenizer.decode([1]), max_new_tokens=5, seed=1)) == 6
    with pytest.raises(UserError, match="OwnModel is not a GPT of minigpt"):
        checkpoint.save(tmp_path / "saved", model, tokenizer)
