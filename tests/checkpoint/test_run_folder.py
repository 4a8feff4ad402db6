"""The folder of a run belongs to one process at a time."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from minigpt import GPT, GPTConfig, Trainer, UserError, checkpoint, read_run
from minigpt.checkpoint import find_checkpoint, load
from minigpt.checkpoint.run_log import RunFolder
from tests.faults.sameness import of_folder


@pytest.fixture
def other_process(tmp_path):
    """A process that holds the folder of a run until it is killed."""
    if not hasattr(os, "fork"):
        pytest.skip("only Unix can fork")
    child = os.fork()
    if child == 0:
        with RunFolder(tmp_path / "run").lock():
            (tmp_path / "ready").touch()
            time.sleep(60)
        os._exit(0)
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    yield child
    end(child)


def end(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


@pytest.fixture
def make_trainer(tokenizer, data, train_config):
    def make(folder: Path) -> Trainer:
        sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 16}
        return Trainer(GPT(GPTConfig(**sizes)), data, train_config, tokenizer=tokenizer, folder=folder, device="cpu")

    return make


def test_no_second_process_trains_into_the_folder(make_trainer, other_process, tmp_path):
    with pytest.raises(UserError, match=r"run is locked by another process, which is training into it"):
        next(make_trainer(tmp_path / "run").run())
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_no_second_process_resumes_a_run_that_goes_on(make_trainer, data, tmp_path, request):
    run = make_trainer(tmp_path / "run").run()
    for _ in range(6):
        next(run)
    run.close()
    log = (tmp_path / "run" / "log.jsonl").read_bytes()
    request.getfixturevalue("other_process")
    with pytest.raises(UserError, match="locked by another process"):
        Trainer.resume(tmp_path / "run", data, device="cpu")
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == log, "the log was not cut back"


def test_a_process_that_was_killed_holds_nothing(make_trainer, other_process, tmp_path):
    end(other_process)
    assert next(make_trainer(tmp_path / "run").run()).step == 1


def test_in_a_notebook_a_run_that_was_put_aside_can_be_resumed(make_trainer, data, tmp_path):
    aside = make_trainer(tmp_path / "run").run()
    for _ in range(5):
        next(aside)
    assert len(list(Trainer.resume(tmp_path / "run", data, device="cpu").run())) == 8
    assert len(read_run(tmp_path / "run" / "log.jsonl").records) == 12


def test_a_run_that_was_killed_before_its_log_began_is_to_be_started_again(make_trainer, data, tmp_path):
    trainer = make_trainer(tmp_path / "run")
    trainer.save()
    with pytest.raises(UserError, match="run that was ended before its first step; start it again, without resuming"):
        Trainer.resume(tmp_path / "run", data, device="cpu")
    assert len(list(make_trainer(tmp_path / "run").run())) == 12


def test_the_log_is_on_the_disk_before_the_checkpoint_that_continues_it(make_trainer, tmp_path, monkeypatch):
    run, flushed = make_trainer(tmp_path / "run").run(), []
    for _ in range(3):
        next(run)
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    next(run)
    assert (tmp_path / "run" / "log.jsonl").stat().st_ino == flushed[0], "and the checkpoint's files after it"
    assert len(flushed) > 4


def test_the_trainers_state_of_another_model_is_refused(make_trainer, model, tokenizer, data, train_config, tmp_path):
    list(make_trainer(tmp_path / "one").run())
    list(Trainer(model, data, train_config, tokenizer=tokenizer, folder=tmp_path / "two", device="cpu").run())
    for name in ("trainer.pt", "SHA256SUMS"):
        (find_checkpoint(tmp_path / "one" / "last") / name).unlink()
    shutil.copy(
        find_checkpoint(tmp_path / "two" / "last") / "trainer.pt",
        find_checkpoint(tmp_path / "one" / "last") / "trainer.pt",
    )
    with pytest.raises(UserError, match=r"trainer\.pt is not the state of the training of the model beside it; copy"):
        Trainer.resume(tmp_path / "one", data, device="cpu")


@pytest.mark.parametrize("state", [{}, {"training": {}}, [], {"step": 3}])
def test_a_trainers_state_with_something_missing_is_named(make_trainer, data, tmp_path, state):
    list(make_trainer(tmp_path / "run").run())
    last = find_checkpoint(tmp_path / "run" / "last")
    (last / "SHA256SUMS").unlink()
    torch.save(state, last / "trainer.pt")
    with pytest.raises(UserError, match=r"trainer\.pt lacks what a run needs to go on"):
        Trainer.resume(tmp_path / "run", data, device="cpu")


def test_what_a_run_goes_on_from_is_read_while_nobody_writes_it(make_trainer, data, tmp_path, monkeypatch):
    list(make_trainer(tmp_path / "run").run())
    read, seen = RunFolder.read_last, []

    def watched(folder: RunFolder, **factories):
        child = os.fork()
        if child == 0:
            try:
                with folder.lock():
                    os._exit(1)
            except UserError:
                os._exit(0)
        seen.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return read(folder, **factories)

    monkeypatch.setattr(RunFolder, "read_last", watched)
    Trainer.resume(tmp_path / "run", data, device="cpu")
    assert seen == [0], "another process could not have begun to train meanwhile"


# --- the pointers


def save(folder: RunFolder, step: int, model: GPT, tokenizer, is_best: bool = False) -> None:
    folder.save(step, model, tokenizer, {"step": step}, is_best)


def names(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


def test_only_what_a_pointer_names_is_kept(model, tokenizer, tmp_path):
    folder = RunFolder(tmp_path / "run")
    for step in (1, 2, 3, 4):
        save(folder, step, model, tokenizer, is_best=step == 2)
    assert names(folder) == ["best", "last", "step-000002", "step-000004"]
    assert (folder.best.read_text(), folder.last.read_text()) == ("step-000002\n", "step-000004\n")


def test_a_checkpoint_that_is_there_is_never_changed(model, tokenizer, tmp_path):
    folder = RunFolder(tmp_path / "run")
    save(folder, 3, model, tokenizer, is_best=True)
    before = of_folder(tmp_path / "run" / "step-000003")
    with torch.no_grad():
        model.lm_head.weight.add_(1)
    save(folder, 3, model, tokenizer)
    assert of_folder(tmp_path / "run" / "step-000003") == before
    assert names(folder) == ["best", "last", "step-000003", "step-000003-2"]
    assert torch.equal(load(folder.last).model.lm_head.weight, model.lm_head.weight)


def test_a_run_that_was_killed_between_the_pointers_goes_on_from_the_newer_one(make_trainer, data, tmp_path):
    run = make_trainer(tmp_path / "run").run()
    while not next(run).best:
        pass
    folder = RunFolder(tmp_path / "run")
    newest = folder.best.read_text()
    assert folder.last.read_text() == newest
    checkpoint.save(tmp_path / "run" / "step-000000", *load(folder.last), {"step": 0})
    folder.last.write_text("step-000000\n")
    assert Trainer.resume(tmp_path / "run", data, device="cpu").step == int(newest.strip()[5:])
    assert folder.last.read_text() == newest


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "last does not name a checkpoint beside it, such as step-000250"),
        ("../other", "last does not name a checkpoint beside it, such as step-000250"),
        ("step-\x00", "last does not name a checkpoint beside it, such as step-000250"),
        ("step-000009", "last names step-000009, which does not exist"),
    ],
)
def test_a_pointer_that_names_nothing_is_named(model, tokenizer, tmp_path, content, sentence):
    folder = RunFolder(tmp_path / "run")
    save(folder, 3, model, tokenizer)
    folder.last.write_text(content)
    for path in (folder.last, folder.path):
        with pytest.raises(UserError, match=sentence):
            load(path)


def test_a_run_of_the_first_edition_loads_and_says_how_it_can_go_on(model, tokenizer, data, tmp_path):
    checkpoint.save(tmp_path / "run" / "last", model, tokenizer, {"step": 3})
    assert load(tmp_path / "run").model.config == model.config
    with pytest.raises(UserError, match="last is a folder, as the first edition made it; rename it to the step"):
        Trainer.resume(tmp_path / "run", data, device="cpu")
