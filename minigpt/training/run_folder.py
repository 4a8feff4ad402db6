"""What a training run leaves on disk: `log.jsonl`, the checkpoint `best`, and `last`, from which it can go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minigpt import checkpoint
from minigpt.checkpoint import Checkpoint
from minigpt.config import require
from minigpt.files import clear_leftovers, flush, held, whole
from minigpt.machine import describe_machine
from minigpt.model import Factory
from minigpt.training.records import Record, append_record, read_run, write_run


class RunFolder:
    """The folder of one training run."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.log = self.path / "log.jsonl"
        self.best = self.path / "best"
        self.last = self.path / "last"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training into the folder; if this one is killed, the system lets go of it.

        Raises:
            UserError: another process holds it, or the folder cannot be written.
        """
        with held(self.path, "training into"):
            yield

    def require_free(self) -> None:
        """Raise `UserError` if the folder holds a run already."""
        taken = self.log.exists() or whole(self.best).exists()
        require(not taken, f"{self.path} already holds a run; resume it, or choose another folder.")

    def require_run(self) -> None:
        """Raise `UserError` unless the folder holds a run that can go on."""
        require(
            whole(self.last).exists(),
            f"{self.path} holds no run to go on with (no checkpoint 'last'); check the path, or start a new run.",
        )
        begun = self.log.exists() or whole(self.best).exists() or not (whole(self.last) / "trainer.pt").exists()
        require(
            begun,
            f"{self.path} holds a run that was ended before its first step; start it again, without resuming.",
        )

    def write_header(self, header: dict[str, Any]) -> None:
        """Begin the log with what was set; the machine and the date are added."""
        write_run(self.log, {"machine": describe_machine()} | header)

    def append(self, record: Record) -> None:
        """Add a record to the log."""
        append_record(self.log, record)

    def flush_log(self) -> None:
        """Make sure that the log is on the disk before a checkpoint that continues it."""
        if self.log.exists():
            flush(self.log)

    def read_last(self, **factories: Factory) -> tuple[Checkpoint, dict[str, Any]]:
        """Return the checkpoint `last` and the trainer's state in it.

        Raises:
            UserError: there is no such checkpoint, or it is damaged.
        """
        self.require_run()
        return checkpoint.load(self.last, **factories), checkpoint.read_trainer_state(self.last)

    def go_back_to(self, step: int, changes: dict[str, Any]) -> None:
        """Take back the lines of the log beyond a step, and note in its header that the run was resumed there.

        What killed saves have left is cleared away, too.
        """
        for folder in (self.best, self.last):
            clear_leftovers(folder)
        run = read_run(self.log)
        resumption = {"step": step, "machine": describe_machine()} | ({"changes": changes} if changes else {})
        header = run.header | {"resumed": [*run.header.get("resumed", []), resumption]}
        write_run(self.log, header, [record for record in run.records if record.step <= step])
