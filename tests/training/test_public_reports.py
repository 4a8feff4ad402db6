"""What people reported of how others train, tried on ours; `tests/cases/README.md` lists the addresses."""

import pytest
import torch

from minigpt import GPT, GPTConfig, TrainConfig, Trainer, UserError
from minigpt.training.optim import learning_rate_at, make_optimizer
from minigpt.training.trainer import IGNORE_INDEX, forward_backward
from minigpt.utils.random_state import get_rng_state, preserve_rng_state, set_rng_state


@pytest.fixture
def make_trainer(tokenizer, data, train_config):
    """A trainer of a small model with dropout; keywords change the settings of training."""

    def make(folder=None, dropout: float = 0.2, **changes) -> Trainer:
        torch.manual_seed(0)
        sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 16}
        model, config = GPT(GPTConfig(**sizes, dropout=dropout)), train_config.replace(**changes)
        return Trainer(model, data, config, tokenizer=tokenizer, folder=folder, device="cpu")

    return make


def gradients(model: GPT, inputs, targets, pieces: int) -> list[torch.Tensor]:
    model.zero_grad()
    forward_backward(model, inputs, targets, pieces)
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_a_long_text_weighs_as_its_tokens_do_however_the_batch_is_cut(make_model, pieces):
    """transformers 24725, 34191; trl 2175; torchtune 1875; nanochat 59; mlx-lm 1413."""
    model = make_model()
    inputs, targets = torch.randint(model.config.vocab_size, (2, 4, 8))
    for row, length in enumerate((1, 8, 3, 8)):
        targets[row, length:] = IGNORE_INDEX
    whole, cut = (gradients(model, inputs, targets, n) for n in (1, pieces))
    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-6)


def test_texts_with_nothing_to_predict_are_passed_over_and_a_whole_batch_of_them_is_a_sentence(make_model):
    """pytorch 70348, 116349; OpenRLHF 583; cosmos-rl 155: the mean of no losses is NaN, and so was the gradient."""
    model = make_model()
    inputs, targets = torch.randint(model.config.vocab_size, (2, 4, 8))
    targets[:2] = IGNORE_INDEX
    found, expected = gradients(model, inputs, targets, 2), gradients(model, inputs[2:], targets[2:], 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    with pytest.raises(UserError, match="All targets of the batch are -100"):
        forward_backward(model, inputs[:2], targets[:2], 2)


@pytest.mark.parametrize("changes", [{"tie_weights": True}, {"lm_head_bias": True}])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_no_norm_and_no_bias_decays_and_no_matrix_is_left_out(make_model, optimizer, changes):
    """lit-llama 254; TransformerLens 460; Fast-LLM 545; minGPT 24: all parameters decayed."""
    model = make_model(qk_norm=True, **changes)
    groups = make_optimizer(model, TrainConfig(optimizer=optimizer, weight_decay=0.3)).param_groups
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(decays) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        no_decay = "norm" in name or name.endswith("bias")
        assert decays[id(parameter)] == (0.0 if no_decay else 0.3), name


@pytest.mark.parametrize("warmup_steps", [0, 1, 5])
def test_the_first_step_changes_the_model(make_trainer, warmup_steps):
    """nanoGPT 443, 578; gpt-neox 1373; verl 3674; bert 1293: the first learning rate was 0."""
    trainer = make_trainer(warmup_steps=warmup_steps)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    record = next(trainer.run())
    assert record.learning_rate == pytest.approx(1e-2 / max(1, warmup_steps))
    assert not any(torch.equal(*pair) for pair in zip(before, trainer.model.parameters(), strict=True))


def test_a_resumed_run_goes_on_with_the_rate_the_batch_and_the_dropout_of_the_next_step(make_trainer, data, tmp_path):
    """pytorch 60265; yolov5 292; pytorch-lightning 15462; speculators 1027; ace 690; tt-metal 47949."""
    changes = {"max_steps": 8, "save_every": 5, "eval_every": 8, "sample_every": 0}
    expected = list(make_trainer(**changes).run())
    run = make_trainer(tmp_path / "run", **changes).run()
    for _ in range(6):
        next(run)
    torch.manual_seed(6)  # whatever the process that goes on has drawn before
    trainer = Trainer.resume(tmp_path / "run", data, device="cpu")
    found = list(trainer.run())
    assert [each.step for each in found] == [6, 7, 8]
    for mine, whole in zip(found, expected[5:], strict=True):
        assert (mine.learning_rate, mine.loss) == (whole.learning_rate, whole.loss)
        assert mine.learning_rate == learning_rate_at(mine.step - 1, trainer.config)


def test_a_random_state_of_more_devices_than_there_are_can_be_set():
    """transformers 14994: a run on one device could not go on from one on several."""
    with preserve_rng_state():
        torch.manual_seed(7)
        state = get_rng_state()
        expected = torch.rand(3)
        n = torch.cuda.device_count()
        set_rng_state(state | {"cuda": [*state["cuda"], *[torch.zeros(16, dtype=torch.uint8)] * 3]})
        assert torch.equal(torch.rand(3), expected) and torch.cuda.device_count() == n


def test_a_scaled_gradient_is_clipped_by_its_own_length(make_trainer):
    """pytorch/examples 1196; Pytorch-UNet 468; pytorch-lightning 9599; returnn 1595; waifu-diffusion 64."""
    trainers = {name: make_trainer(dropout=0.0, precision=name, grad_clip=0.1) for name in ("float32", "float16")}
    assert trainers["float16"].precision.scaler.get_scale() > 1000
    exact, scaled = (next(trainer.run()) for trainer in trainers.values())
    assert scaled.gradient_norm == pytest.approx(exact.gradient_norm, rel=0.02)
    for trainer in trainers.values():
        clipped = [parameter.grad.norm() for parameter in trainer.model.parameters()]
        assert torch.stack(clipped).norm().item() == pytest.approx(0.1, rel=0.01)
