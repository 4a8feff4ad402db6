"""A compiled model is the same model, and where nothing can be compiled a sentence says so."""

import pytest
import torch

from minigpt import Trainer, UserError
from minigpt.training.precision import compile_model


def test_the_trainer_compiles_if_it_is_asked_to(model, data, train_config, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda program: seen.append(program) or program)
    trainer = Trainer(model, data, train_config.replace(compile=True, sample_every=0), device="cpu")
    assert seen[-1] is model and trainer.compiled_model is model
    assert len(list(trainer.run())) == 12


def test_no_compiler_is_one_sentence(model, monkeypatch):
    def refuse(program):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(UserError, match=r"does not work here \(InvalidCxx.* found\); leave out compile\.$"):
        compile_model(model)


@pytest.mark.slow
def test_a_compiled_model_gives_the_same_logits_and_gradients(make_model, data):
    model = make_model(n_layer=1)
    ids = data.train[:16].reshape(2, 8)
    try:
        program = compile_model(model)
    except UserError as error:
        pytest.skip(str(error))
    found = []
    for network in (model, program):
        model.zero_grad()
        logits = network(ids)
        logits.square().mean().backward()
        found.append([logits.detach(), *(parameter.grad for parameter in model.parameters())])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
