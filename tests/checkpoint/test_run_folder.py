"""The folder of a run belongs to one process at a time."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from minigpt import GPT, GPTConfig, Trainer, UserError, read_run
from minigpt.checkpoint.run_log import RunFolder


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
        (tmp_path / "one" / "last" / name).unlink()
    shutil.copy(tmp_path / "two" / "last" / "trainer.pt", tmp_path / "one" / "last" / "trainer.pt")
    with pytest.raises(UserError, match=r"trainer\.pt is not the state of the training of the model beside it; copy"):
        Trainer.resume(tmp_path / "one", data, device="cpu")


@pytest.mark.parametrize("state", [{}, {"training": {}}, [], {"step": 3}])
def test_a_trainers_state_with_something_missing_is_named(make_trainer, data, tmp_path, state):
    list(make_trainer(tmp_path / "run").run())
    (tmp_path / "run" / "last" / "SHA256SUMS").unlink()
    torch.save(state, tmp_path / "run" / "last" / "trainer.pt")
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
