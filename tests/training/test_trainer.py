"""Training: it learns, it can be stopped at any moment, and what goes on is what would have been."""

import json
import math
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from comparing import identical
from minigpt import (
    GPT,
    CharTokenizer,
    GPTConfig,
    LayerNorm,
    Split,
    TrainConfig,
    Trainer,
    UserError,
    checkpoint,
    cross_entropy,
    evaluate,
    generate,
    get_batch,
    read_run,
)
from minigpt.training import trainer as accumulate_module
from minigpt.training.optim import learning_rate_at, make_adamw
from minigpt.utils.random_state import rng_state_from_seed
from minigpt.utils.signals import defer_interrupts
from tests.faults.sameness import is_tidy

TIMINGS = ("seconds", "tokens_per_second", "peak_memory_mb", "memory_mb", "cpu_percent")


@pytest.fixture
def make_trainer(tokenizer, data, train_config):
    """A trainer of a small model with dropout; keywords change the settings of training."""

    def make(folder: Path | None = None, dropout: float = 0.2, factories: dict | None = None, **changes) -> Trainer:
        torch.manual_seed(0)
        sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 16}
        model = GPT(GPTConfig(**sizes, dropout=dropout), **(factories or {}))
        config = train_config.replace(**changes)
        return Trainer(model, data, config, tokenizer=tokenizer, folder=folder, device="cpu")

    return make


def without_timings(record) -> dict:
    return {name: value for name, value in json.loads(record.to_line()).items() if name not in TIMINGS}


def log_of(folder: Path) -> list[dict]:
    return [without_timings(record) for record in read_run(folder / "log.jsonl").records]


def weights(model) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def take(trainer: Trainer, steps: int) -> list:
    """Run some steps and drop the run, as a kill does."""
    run = trainer.run()
    return [next(run) for _ in range(steps)]


def assert_same_run(found: Path, expected: Path) -> None:
    assert log_of(found) == log_of(expected)
    for name in ("best", "last"):
        assert equal(weights(checkpoint.load(found / name).model), weights(checkpoint.load(expected / name).model))
    states = [checkpoint.read_trainer_state(folder / "last") for folder in (found, expected)]
    for state in states:
        state.pop("seconds")
    assert identical(*states)
    assert is_tidy(found)


@pytest.fixture
def uninterrupted(tmp_path, make_trainer):
    list(make_trainer(tmp_path / "uninterrupted").run())
    return tmp_path / "uninterrupted"


# --- one step after another


def test_the_first_steps_are_those_of_a_loop_by_hand(make_trainer, data):
    trainer = make_trainer(dropout=0.0)
    by_hand = make_trainer(dropout=0.0).model.train()
    optimizer = make_adamw(by_hand, trainer.config)
    generator = torch.Generator().manual_seed(trainer.config.seed)
    for step, record in enumerate(take(trainer, 4)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, trainer.config)
        inputs, targets = get_batch(data.train, 4, 8, generator)
        optimizer.zero_grad()
        loss = cross_entropy(by_hand(inputs), targets)
        loss.backward()
        norm = math.sqrt(sum(parameter.grad.pow(2).sum().item() for parameter in by_hand.parameters()))
        for parameter in by_hand.parameters():
            parameter.grad.mul_(min(1.0, trainer.config.grad_clip / (norm + 1e-6)))
        optimizer.step()
        assert record.step == step + 1
        assert record.loss == pytest.approx(loss.item(), rel=1e-6)
        assert record.gradient_norm == pytest.approx(norm, rel=1e-4)
        assert record.learning_rate == learning_rate_at(step, trainer.config)
    torch.testing.assert_close(weights(trainer.model), weights(by_hand), rtol=1e-4, atol=1e-5)


def test_clipping_bounds_the_gradient_and_the_record_tells_the_norm_before(make_trainer):
    trainer = make_trainer(grad_clip=0.01)
    (record,) = take(trainer, 1)
    assert record.gradient_norm > 0.1
    norm = math.sqrt(sum(parameter.grad.pow(2).sum().item() for parameter in trainer.model.parameters()))
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_gradients_left_over_from_before_do_not_count(make_trainer):
    clean, dirty = make_trainer(), make_trainer()
    for parameter in dirty.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert take(clean, 3) and take(dirty, 3)
    assert equal(weights(clean.model), weights(dirty.model))


def test_a_model_learns_a_small_text_by_heart(make_trainer):
    records = list(make_trainer(dropout=0.0, max_steps=100, batch_size=16, eval_every=100, sample_every=0).run())
    assert records[0].loss == pytest.approx(math.log(21), abs=0.3)
    assert records[-1].loss < 1.5


def test_the_records_say_what_was_measured(make_trainer):
    records = list(make_trainer(max_steps=7).run())
    assert [record.step for record in records] == list(range(1, 8))
    assert [record.step for record in records if record.validation_loss is not None] == [3, 6, 7]
    assert [record.step for record in records if record.sample is not None] == [6]
    seconds = [record.seconds for record in records]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert all(record.tokens_per_second > 0 and record.peak_memory_mb > 0 for record in records)
    assert all(record.memory_mb > 10 and record.cpu_percent >= 0 for record in records)


def test_a_sample_is_what_the_model_writes_at_that_step(make_trainer, tokenizer):
    trainer = make_trainer()
    sample = take(trainer, 6)[-1].sample
    settings = {"max_new_tokens": 5, "temperature": 0.8, "seed": trainer.config.seed}
    assert sample == generate(trainer.model, tokenizer, "a", **settings)
    assert sample.startswith("a") and len(sample) == 6


def test_the_validation_loss_is_that_of_fixed_windows(make_trainer, data):
    trainer = make_trainer()
    record = take(trainer, 3)[-1]
    assert record.validation_loss == evaluate(trainer.model, data.validation, 8, max_windows=4).loss


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_watching_does_not_change_the_training(make_trainer, dropout):
    plain = make_trainer(dropout=dropout, eval_every=100, sample_every=0)
    watched = make_trainer(dropout=dropout, eval_every=1, sample_every=1)
    take(plain, 5), take(watched, 5)
    assert equal(weights(plain.model), weights(watched.model))


def test_two_trainers_side_by_side_do_not_disturb_each_other(make_trainer):
    alone, first, second = make_trainer(), make_trainer(), make_trainer(seed=5)
    take(alone, 5)
    for _ in zip(first.run(), second.run(), strict=True):
        torch.rand(3)
        if first.step == 5:
            break
    assert equal(weights(alone.model), weights(first.model))
    assert not equal(weights(alone.model), weights(second.model))


def test_training_leaves_the_global_generator_alone(make_trainer):
    trainer = make_trainer()
    before = torch.get_rng_state()
    list(trainer.run())
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_on_in_training(make_trainer):
    with_dropout, without = make_trainer(dropout=0.5), make_trainer(dropout=0.0)
    assert take(with_dropout, 1)[0].loss != take(without, 1)[0].loss


def test_dropout_draws_anew_at_every_step(make_trainer):
    trainer, masks = make_trainer(dropout=0.5), []
    trainer.model.dropout.register_forward_hook(lambda module, inputs, output: masks.append(output == 0))
    take(trainer, 2)
    assert not torch.equal(*masks)


def test_another_seed_draws_other_batches(make_trainer):
    losses = [[record.loss for record in take(make_trainer(dropout=0.0, seed=seed), 3)] for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_without_a_folder_nothing_is_written(make_trainer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    list(make_trainer().run())
    assert not list(tmp_path.iterdir())


# --- what is written


def test_the_log_holds_the_settings_and_every_step(make_trainer, tmp_path):
    trainer = make_trainer(tmp_path / "run")
    trainer.metadata = {"name": "trial"}
    records = list(trainer.run())
    run = read_run(tmp_path / "run" / "log.jsonl")
    assert run.header["training"] == trainer.config.to_dict()
    assert run.header["model"] == trainer.model.config.to_dict()
    assert run.header["name"] == "trial" and run.header["machine"]["torch"] == torch.__version__
    assert [record.to_line() for record in run.records] == [record.to_line() for record in records]


def test_the_best_checkpoint_has_the_lowest_validation_loss(make_trainer, tmp_path, data, monkeypatch):
    real, worse = Trainer.validate, {9, 12}
    monkeypatch.setattr(Trainer, "validate", lambda self: real(self) + (10 if self.step in worse else 0))
    trainer = make_trainer(tmp_path / "run", dropout=0.0)
    at_step = {}
    for record in trainer.run():
        at_step[record.step] = weights(trainer.model)
    run = read_run(tmp_path / "run" / "log.jsonl")
    lowest = min(run.evaluations, key=lambda record: record.validation_loss).step
    assert lowest == 6 == run.best.step
    assert [record.step for record in run.records if record.best] == [3, 6]
    best, last = (checkpoint.load(tmp_path / "run" / name).model for name in ("best", "last"))
    assert equal(weights(best), at_step[6]) and equal(weights(last), at_step[12])
    assert equal(weights(checkpoint.load(tmp_path / "run").model), at_step[6])
    assert evaluate(best, data.validation, 8, max_windows=4).loss == pytest.approx(run.best.validation_loss, rel=1e-5)


def test_a_checkpoint_is_saved_at_the_start_and_as_often_as_asked_for(make_trainer, tmp_path):
    trainer, steps = make_trainer(tmp_path / "run", max_steps=6, eval_every=100), []
    for _ in trainer.run():
        steps.append(checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"])
    assert steps == [0, 0, 0, 4, 4, 6]


# --- stopped and resumed


@pytest.mark.parametrize(("dropout", "steps"), [(0.0, 5), *((0.2, steps) for steps in (1, 3, 4, 6, 7, 11))])
def test_a_run_killed_after_some_steps_goes_on_as_if_nothing_had_happened(tmp_path, make_trainer, data, dropout, steps):
    list(make_trainer(tmp_path / "whole", dropout=dropout).run())
    folder = tmp_path / "killed"
    take(make_trainer(folder, dropout=dropout), steps)
    torch.manual_seed(steps)  # another process would have another state too
    resumed = Trainer.resume(folder, data, device="cpu")
    assert resumed.step == max(step for step in (0, 3, 4, 6, 8, 9) if step <= steps), "every fourth step, and the best"
    take(resumed, 1)  # killed again
    list(Trainer.resume(folder, data, device="cpu").run())
    assert_same_run(folder, tmp_path / "whole")


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_as_if_nothing_had_happened(
    tmp_path, make_trainer, data, uninterrupted, killed_at
):
    """Each process runs in a fork, so that a kill can fall into a save or half a line of the log."""
    for moment in range(1, 2000, 37):
        folder = tmp_path / str(moment)
        killed = killed_at(moment, lambda folder=folder: list(make_trainer(folder).run()))
        if (folder / "log.jsonl").exists():
            list(Trainer.resume(folder, data, device="cpu").run())
        else:  # it was killed before the run had begun
            list(make_trainer(folder).run())
        assert_same_run(folder, uninterrupted)
        if not killed:
            break
    assert not killed and moment > 200


def test_a_resumed_run_remembers_its_best_and_its_time(make_trainer, tmp_path, data, monkeypatch):
    real = Trainer.validate
    monkeypatch.setattr(Trainer, "validate", lambda self: real(self) + (10 if self.step > 6 else 0))
    folder = tmp_path / "run"
    before = take(make_trainer(folder), 8)
    resumed = list(Trainer.resume(folder, data, device="cpu").run())
    assert [record.step for record in before + resumed if record.best] == [3, 6]
    assert read_run(folder / "log.jsonl").best.step == 6
    seconds = [record.seconds for record in before + resumed]
    assert seconds == sorted(seconds)


def test_a_complete_run_killed_at_its_very_end_is_tidied(tmp_path, make_trainer, data, uninterrupted):
    folder = tmp_path / "killed"
    list(make_trainer(folder).run())
    (folder / ".step-000012.new").mkdir()
    (folder / "step-000009").mkdir(exist_ok=True)
    (folder / ".last.new").write_text("step-")
    assert list(Trainer.resume(folder, data, device="cpu").run()) == []
    assert_same_run(folder, uninterrupted)


def test_the_log_keeps_a_cut_off_line_from_spreading(tmp_path, make_trainer, data, uninterrupted):
    folder = tmp_path / "cut"
    take(make_trainer(folder), 7)
    log = folder / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    list(Trainer.resume(folder, data, device="cpu").run())
    assert_same_run(folder, uninterrupted)


def test_the_same_trainer_can_go_on_after_an_interrupt(make_trainer, tmp_path, uninterrupted):
    trainer = make_trainer(tmp_path / "run")
    take(trainer, 5)
    list(trainer.run())
    assert_same_run(tmp_path / "run", uninterrupted)


def test_a_finished_run_can_be_extended(tmp_path, make_trainer, data):
    list(make_trainer(tmp_path / "run", max_steps=5).run())
    assert list(Trainer.resume(tmp_path / "run", data, device="cpu").run()) == []
    longer = Trainer.resume(tmp_path / "run", data, device="cpu", changes={"max_steps": 8})
    assert [record.step for record in longer.run()] == [6, 7, 8]
    assert [record["step"] for record in log_of(tmp_path / "run")] == list(range(1, 9))


class MyNorm(LayerNorm):
    pass


def test_a_run_with_a_replaced_component_can_go_on(tmp_path, make_trainer, data, uninterrupted):
    take(make_trainer(tmp_path / "mine", factories={"norm": lambda config: MyNorm(config.n_embd)}), 5)
    with pytest.raises(UserError, match="give it again"):
        Trainer.resume(tmp_path / "mine", data, device="cpu")
    list(Trainer.resume(tmp_path / "mine", data, device="cpu", norm=lambda config: MyNorm(config.n_embd)).run())
    assert log_of(tmp_path / "mine") == log_of(uninterrupted)


# --- the batch in pieces, and the end of a run


def test_a_batch_in_pieces_trains_the_same_model(make_trainer):
    whole, pieces = make_trainer(dropout=0.0), make_trainer(dropout=0.0, grad_accum_steps=3)
    losses = [[record.loss for record in take(trainer, 5)] for trainer in (whole, pieces)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    torch.testing.assert_close(weights(whole.model), weights(pieces.model), rtol=1e-4, atol=5e-5)


def test_a_run_ends_at_its_target_and_saves(make_trainer, tmp_path, data, monkeypatch):
    monkeypatch.setattr(Trainer, "validate", lambda self: 4.0 - 0.1 * self.step)
    trainer = make_trainer(tmp_path / "run", target_loss=3.4, save_every=5)
    records = list(trainer.run())
    assert records[-1].step == 6 and records[-1].best
    assert trainer.finished == "the validation loss of 3.4000 has reached the target of 3.4"
    assert checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"] == 6
    assert list(Trainer.resume(tmp_path / "run", data, device="cpu").run()) == []
    lower = Trainer.resume(tmp_path / "run", data, device="cpu", changes={"target_loss": 3.1})
    assert [record.step for record in lower.run()] == [7, 8, 9]


def test_a_run_ends_when_its_patience_does_however_often_it_was_killed(make_trainer, tmp_path, data, monkeypatch):
    losses = {3: 2.0, 6: 1.0, 9: 1.1, 12: 1.0, 15: 0.5, 18: 0.6, 21: 0.7, 24: 0.8}
    monkeypatch.setattr(Trainer, "validate", lambda self: losses[self.step])
    settings = {"patience": 3, "max_steps": 100, "sample_every": 0, "save_every": 1}
    take(make_trainer(tmp_path / "run", **settings), 10)
    take(Trainer.resume(tmp_path / "run", data, device="cpu"), 9)
    last = list(Trainer.resume(tmp_path / "run", data, device="cpu").run())[-1]
    assert last.step == 24
    assert Trainer.resume(tmp_path / "run", data, device="cpu").finished.startswith("3 evaluations in a row")


def test_a_checkpoint_from_before_there_was_patience_can_go_on(make_trainer, tmp_path, data, uninterrupted):
    take(make_trainer(tmp_path / "run"), 5)
    path = checkpoint.find_checkpoint(tmp_path / "run" / "last") / "trainer.pt"
    state = checkpoint.read_trainer_state(path.parent)
    for name in ("evals_since_best", "first_loss"):
        del state[name]
    for name in ("grad_accum_steps", "target_loss", "patience"):
        del state["training"][name]
    torch.save(state, path)
    (path.parent / "SHA256SUMS").unlink()
    list(Trainer.resume(tmp_path / "run", data, device="cpu").run())
    assert log_of(tmp_path / "run") == log_of(uninterrupted)


def test_what_was_changed_on_the_way_stands_in_the_log(make_trainer, tmp_path, data):
    take(make_trainer(tmp_path / "run"), 5)
    lower = {"learning_rate": 1e-3, "min_learning_rate": 1e-4}
    trainer = Trainer.resume(tmp_path / "run", data, device="cpu", changes=lower)
    assert all(record.learning_rate <= 1e-3 for record in trainer.run())
    (resumed,) = read_run(tmp_path / "run" / "log.jsonl").header["resumed"]
    assert resumed["changes"] == lower and resumed["step"] == 4
    with pytest.raises(UserError, match="patience = 0 must be at least 1"):
        Trainer.resume(tmp_path / "run", data, changes={"patience": 0})


@pytest.mark.skipif(os.name == "nt", reason="signals are Unix's")
@pytest.mark.parametrize("during", ["train_step", "validate", "sample", "save"])
@pytest.mark.parametrize("at", [1, 6, 12])
def test_an_interrupt_waits_for_the_step_in_hand(make_trainer, tmp_path, uninterrupted, monkeypatch, during, at):
    trainer = make_trainer(tmp_path / "run", sample_every=1)
    real = getattr(Trainer, during)

    def interrupted(self, *arguments, **keywords):
        if self.step == at - int(during == "train_step"):
            monkeypatch.setattr(Trainer, during, real)
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *arguments, **keywords)

    monkeypatch.setattr(Trainer, during, interrupted)
    with suppress(KeyboardInterrupt):
        list(trainer.run())
    if trainer.finished:
        assert checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"] == 12
    list(trainer.run())
    expected = [{**record, "sample": None} for record in log_of(uninterrupted)]
    assert [{**record, "sample": None} for record in log_of(tmp_path / "run")] == expected


def test_a_second_interrupt_acts_at_once():
    reached = []
    with pytest.raises(KeyboardInterrupt), defer_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        reached.append(2)
    assert reached == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- what can go wrong


def test_a_loss_that_is_no_number_stops_the_run_and_spoils_nothing(tmp_path, make_trainer, monkeypatch):
    trainer = make_trainer(tmp_path / "run")
    take(trainer, 7)
    saved = {name: weights(checkpoint.load(tmp_path / "run" / name).model) for name in ("best", "last")}
    before = weights(trainer.model)
    monkeypatch.setattr(accumulate_module, "cross_entropy", lambda logits, targets: logits.sum() * math.nan)
    with pytest.raises(UserError) as error:
        next(trainer.run())
    rate = learning_rate_at(7, trainer.config)
    assert str(error.value) == (
        f"At step 8, with the learning rate {rate:g}, the loss is nan and the norm of its gradient nan; the last good "
        f"checkpoint is {tmp_path / 'run' / 'last'} (step 6), so resume with a lower learning_rate than 0.01 or "
        "grad_clip than 1."
    )
    assert equal(weights(trainer.model), before)
    for name, expected in saved.items():
        assert equal(weights(checkpoint.load(tmp_path / "run" / name).model), expected)
    assert len(log_of(tmp_path / "run")) == 7


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_infinite_gradient_stops_the_run(make_trainer, value):
    trainer = make_trainer()
    trainer.model.lm_head.weight.register_hook(lambda gradient: gradient * value)
    with pytest.raises(UserError, match=f"the norm of its gradient {value}"):
        next(trainer.run())


def test_a_learning_rate_far_too_high_ends_in_a_sentence(make_trainer):
    with pytest.raises(UserError, match="start again with a lower learning_rate than 1e"):
        list(make_trainer(learning_rate=1e30, min_learning_rate=1e30, max_steps=50, sample_every=0).run())


def test_an_exploding_loss_stops_the_run_and_names_the_last_good_checkpoint(make_trainer, tmp_path, monkeypatch):
    factor = {"now": 1.0}
    real = accumulate_module.cross_entropy
    monkeypatch.setattr(accumulate_module, "cross_entropy", lambda *values: real(*values) * factor["now"])
    trainer = make_trainer(tmp_path / "run")
    take(trainer, 4)
    factor["now"] = 4.0  # the first step from the checkpoint fails, so it may be what is wrong
    with pytest.raises(UserError, match="best, so start again with a lower learning_rate than 0.01"):
        list(trainer.run())
    factor["now"] = 1.0
    take(trainer, 1)
    factor["now"] = 4.0
    with pytest.raises(UserError, match=r"At step 6, with the learning rate .*last \(step 4\), so resume with a lower"):
        list(trainer.run())
    factor["now"] = 1.0
    failing = make_trainer(tmp_path / "none", eval_every=99)
    factor["now"] = math.nan
    with pytest.raises(UserError, match="there is no good checkpoint, so start again"):
        list(failing.run())


@pytest.mark.parametrize("room", [10, 300, 5_000])
def test_a_full_disk_stops_the_run_and_spoils_nothing(tmp_path, make_trainer, data, full_disk, uninterrupted, room):
    folder = tmp_path / "run"
    trainer = make_trainer(folder)
    take(trainer, 5)
    with full_disk((folder / "log.jsonl").stat().st_size + room), pytest.raises(UserError, match="make room"):
        list(trainer.run())
    checkpoint.load(folder)
    list(Trainer.resume(folder, data, device="cpu").run())
    assert_same_run(folder, uninterrupted)


def test_a_disk_that_is_full_at_the_start_leaves_the_folder_free(tmp_path, make_trainer, full_disk):
    with full_disk(100), pytest.raises(UserError, match="could not be saved"):
        next(make_trainer(tmp_path / "run").run())
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert next(make_trainer(tmp_path / "run").run()).step == 1


def test_a_folder_with_a_run_is_not_overwritten(tmp_path, make_trainer, uninterrupted):
    before = log_of(uninterrupted)
    with pytest.raises(UserError, match="already holds a run; resume it, or choose another folder"):
        next(make_trainer(uninterrupted).run())
    assert log_of(uninterrupted) == before
    (uninterrupted / "log.jsonl").unlink()
    with pytest.raises(UserError, match="already holds a run"):
        next(make_trainer(uninterrupted).run())


def test_a_folder_that_cannot_be_written_is_named(tmp_path, make_trainer):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="file/run cannot be written"):
        next(make_trainer(tmp_path / "file" / "run").run())


def test_nothing_to_resume_is_named(tmp_path, data, model, tokenizer):
    with pytest.raises(UserError, match="holds no run to go on with .*; check the path, or start a new run"):
        Trainer.resume(tmp_path, data)
    checkpoint.save(tmp_path / "step-000003", model, tokenizer)
    (tmp_path / "last").write_text("step-000003")
    with pytest.raises(UserError, match="can generate, but not go on training"):
        Trainer.resume(tmp_path, data)


def test_a_run_without_its_log_is_named(uninterrupted, data):
    (uninterrupted / "log.jsonl").unlink()
    with pytest.raises(UserError, match=r"log\.jsonl is not a file"):
        Trainer.resume(uninterrupted, data)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_text_too_short_is_named(model, data, part):
    short = data._replace(**{part: torch.arange(8)})
    with pytest.raises(UserError, match="part has 8 tokens, too few for one window of 8"):
        Trainer(model, short, TrainConfig())


def test_a_vocabulary_too_small_is_named(make_model, data):
    with pytest.raises(UserError, match="the model knows only 0 to 4; build the model with vocab_size="):
        Trainer(make_model(vocab_size=5), data, TrainConfig())


def test_saving_and_sampling_need_a_tokenizer(model, data, tmp_path):
    for settings in ({"folder": tmp_path}, {"config": TrainConfig(sample_every=1)}):
        with pytest.raises(UserError, match="need a tokenizer: pass tokenizer="):
            Trainer(model, data, **({"config": TrainConfig()} | settings))
    with pytest.raises(UserError, match="need a tokenizer: pass tokenizer="):
        Trainer(model, data, TrainConfig()).sample()


def test_saving_needs_a_folder(make_trainer):
    with pytest.raises(UserError, match="no folder to save into: pass folder="):
        make_trainer().save()


@pytest.mark.parametrize(("prompt", "message"), [("", "The sample_prompt is empty"), ("Ω", "The sample_prompt: .*'Ω'")])
def test_a_prompt_that_cannot_be_encoded_shows_before_training(model, data, tokenizer, prompt, message):
    config = TrainConfig(sample_every=500, sample_prompt=prompt)
    with pytest.raises(UserError, match=message):
        Trainer(model, data, config, tokenizer=tokenizer)
    Trainer(model, data, config.replace(sample_every=0), tokenizer=tokenizer)


def test_a_trainer_draws_nothing_when_it_is_made(model, data):
    before = torch.get_rng_state()
    trainer = Trainer(model, data, TrainConfig(seed=3), device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(trainer.random_state["cpu"], rng_state_from_seed(3)["cpu"])


def test_a_vocabulary_of_one_and_a_text_of_two_windows(tokenizer):
    tokenizer = CharTokenizer("a")
    model = GPT(GPTConfig(vocab_size=1, block_size=1, n_layer=1, n_head=1, n_embd=2))
    ids = torch.zeros(2, dtype=torch.long)
    records = list(Trainer(model, Split(ids, ids), TrainConfig(max_steps=2), tokenizer=tokenizer, device="cpu").run())
    assert [record.loss for record in records] == [0.0, 0.0]
    assert records[-1].validation_loss == 0.0
