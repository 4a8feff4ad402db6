"""The folder of a run belongs to one process at a time."""

import os
import signal
import time
from pathlib import Path

import pytest

from minigpt import GPT, GPTConfig, Trainer, UserError, read_run
from minigpt.training.run_folder import RunFolder


@pytest.fixture
def other_process(tmp_path):
    """A process that holds the folder of a run until it is killed."""
    if not hasattr(os, "fork"):
        pytest.skip("only Unix can fork")
    child = os.fork()
    if child == 0:
        with RunFolder(tmp_path / "run").held():
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
    with pytest.raises(UserError, match=r"Another process is training into .*run; wait until it ends"):
        next(make_trainer(tmp_path / "run").run())
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_no_second_process_resumes_a_run_that_goes_on(make_trainer, data, tmp_path, request):
    run = make_trainer(tmp_path / "run").run()
    for _ in range(6):
        next(run)
    run.close()
    log = (tmp_path / "run" / "log.jsonl").read_bytes()
    request.getfixturevalue("other_process")
    with pytest.raises(UserError, match="Another process is training"):
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
