"""Muon: the iteration against its definition by singular values, and the step against PyTorch's own."""

import pytest
import torch
from torch.testing import assert_close

from minigpt import TrainConfig, Trainer
from minigpt.training.muon import COEFFICIENTS, Muon, newton_schulz
from minigpt.training.optim import make_adamw, make_muon, make_optimizer


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5)])
def test_only_the_singular_values_change_and_by_the_polynomial(shape):
    matrix = torch.randn(*shape, dtype=torch.float64)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    a, b, c = COEFFICIENTS
    s = s / (s.square().sum().sqrt() + 1e-7)
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    assert_close(newton_schulz(matrix), u @ s.diag() @ v)


def test_singular_values_come_close_to_1():
    values = torch.linalg.svdvals(newton_schulz(torch.randn(32, 64)))
    assert values.min() > 0.6 and values.max() < 1.3


def test_a_matrix_of_zeros_stays():
    assert newton_schulz(torch.zeros(3, 4)).eq(0).all()


def test_steps_are_those_of_pytorchs_muon():
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    ours, theirs = (torch.nn.Parameter(torch.ones(8, 20)) for _ in range(2))
    settings = {"lr": 0.1, "weight_decay": 0.2}
    mine = Muon([ours], [], **settings)
    other = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
    for seed in range(4):
        torch.manual_seed(seed)
        ours.grad = torch.randn(8, 20)
        theirs.grad = ours.grad.clone()
        mine.step()
        other.step()
    assert_close(ours, theirs, atol=0.01, rtol=0.01)  # theirs iterates in half precision
    assert not torch.allclose(ours, torch.ones(8, 20), atol=0.1)


def test_the_others_move_as_with_adamw(make_model):
    config = TrainConfig(weight_decay=0.3, learning_rate=0.01, beta1=0.8, beta2=0.95)
    models = [make_model(lm_head_bias=True) for _ in range(2)]
    optimizers = [make_muon(models[0], config), make_adamw(models[1], config)]
    for seed in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            torch.manual_seed(seed)
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
    for (name, ours), theirs in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        matrix = name.startswith("blocks") and ours.dim() == 2
        assert torch.allclose(ours, theirs, atol=1e-5) == (not matrix), name


def test_a_step_is_as_large_as_adamws():
    weight = torch.nn.Parameter(torch.zeros(64, 256))
    weight.grad = torch.randn(64, 256)
    Muon([weight], [], lr=1.0).step()
    assert weight.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.2)


def test_frozen_and_tied_parameters_are_held_once(make_model):
    model = make_model(tie_weights=True)
    model.blocks[0].mlp.up.weight.requires_grad_(False)
    held = [id(p) for group in make_muon(model, TrainConfig()).param_groups for p in group["params"]]
    assert len(held) == len(set(held)) == sum(p.requires_grad for p in model.parameters())


def test_a_parameter_without_a_gradient_stays(model):
    before = model.lm_head.weight.clone()
    make_muon(model, TrainConfig()).step()
    assert torch.equal(model.lm_head.weight, before)


def test_it_returns_what_the_closure_returns(model):
    assert make_muon(model, TrainConfig()).step(lambda: torch.tensor(3.0)) == 3


def test_its_state_can_be_saved_and_put_back(make_model, tmp_path):
    models = [make_model() for _ in range(2)]
    config = TrainConfig(optimizer="muon")
    first, second = (make_optimizer(model, config) for model in models)

    def move(model, optimizer, seed):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()

    move(models[0], first, 0)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    models[1].load_state_dict(models[0].state_dict())
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for model, optimizer in zip(models, (first, second), strict=True):
        move(model, optimizer, 1)
    assert all(torch.equal(*pair) for pair in zip(models[0].parameters(), models[1].parameters(), strict=True))


def test_a_modern_run_goes_on_to_the_bit(make_model, tokenizer, data, train_config, tmp_path):
    modern = {"position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "qk_norm": True, "n_kv_head": 1, "dropout": 0.2}
    settings = train_config.replace(optimizer="muon", sample_every=0)

    def trainer(folder):
        return Trainer(make_model(**modern), data, settings, tokenizer=tokenizer, folder=folder, device="cpu")

    whole = trainer(tmp_path / "whole")
    losses = [record.loss for record in whole.run()]
    assert losses[-1] < losses[0]
    for _ in zip(range(6), trainer(tmp_path / "killed").run(), strict=False):
        pass
    resumed = Trainer.resume(tmp_path / "killed", data, device="cpu")
    assert resumed.step > 0
    assert losses[resumed.step :] == [record.loss for record in resumed.run()]
    assert all(torch.equal(*pair) for pair in zip(resumed.model.parameters(), whole.model.parameters(), strict=True))
