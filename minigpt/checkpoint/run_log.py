"""The record of a training run: a JSON Lines file with a header line and one line for each logged step."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minigpt import checkpoint
from minigpt.checkpoint.save_load import Checkpoint, find_checkpoint
from minigpt.model.gpt import GPT, Factory
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.files import atomic_write_text, exclusive_lock, fsync_path, temp_path
from minigpt.utils.machine import environment_info


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """What is known after a training step.

    `loss` is the mean cross-entropy of the step's batch in nats per token, before the update. `seconds` counts
    training time since the first step, evaluations included. `validation_loss` and `sample` are there only on the
    steps that made them; `best` marks the lowest validation loss so far. What the step took from the machine is
    None where it was not measured.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    tokens_per_second: float
    peak_memory_mb: float
    memory_mb: float | None = None
    cpu_percent: float | None = None
    gpu_memory_mb: float | None = None
    gpu_percent: float | None = None
    validation_loss: float | None = None
    best: bool = False
    sample: str | None = None

    def to_line(self) -> str:
        """Return the record as one JSON line without the fields that are empty."""
        values = {name: value for name, value in asdict(self).items() if value is not None and value is not False}
        return json.dumps({name: round_significant(value) for name, value in values.items()})


def round_significant(value: Any) -> Any:
    """Round a float to six significant digits, which is all that a plot can show."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


@dataclass
class RunLog:
    """A training run as it was recorded: what was set, and what happened."""

    header: dict[str, Any]
    records: list[StepMetrics] = field(default_factory=list)

    @property
    def evaluations(self) -> list[StepMetrics]:
        """The records that carry a validation loss."""
        return [record for record in self.records if record.validation_loss is not None]

    @property
    def best(self) -> StepMetrics:
        """The record with the lowest validation loss.

        Raises:
            UserError: the run was never evaluated.
        """
        if len(self.evaluations) <= 0:
            raise UserError("This run has no validation loss yet; train it past its first evaluation.")
        losses = [loss for _, loss in validation_curve(self.records)]
        return self.evaluations[losses.index(min(losses))]


def validation_curve(records: Iterable[StepMetrics]) -> list[tuple[int, float]]:
    """Return the step and the validation loss, in nats per token, of each record that carries one."""
    return [(record.step, record.validation_loss) for record in records if record.validation_loss is not None]


def read_run(path: Path | str) -> RunLog:
    """Read a run's record; a last line that was cut off by a crash is left out.

    Raises:
        UserError: the file is missing, or a line in it is not a record.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not a file; check the path of the record.")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    complete = lines[:-1]  # a whole line ends in a newline, so what follows the last one is cut off or empty
    if len(complete) <= 0:
        raise UserError(f"{path} is empty; it should begin with a header line.")
    header, *values = (_parse_line(path, number, line) for number, line in enumerate(complete, start=1))
    try:
        return RunLog(header, [StepMetrics(**value) for value in values])
    except TypeError as error:
        told = " ".join(str(error).split())
        raise UserError(f"{path} holds a line that is not a training record ({told}).") from None


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    """Return one line of a record, or raise `UserError` with its number."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{path}, line {number} is not valid JSON; the record is damaged there.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}, line {number} is not a JSON object; the record is damaged there.")
    return values


def write_run(path: Path, header: dict[str, Any], records: Iterable[StepMetrics] = ()) -> None:
    """Write a record afresh, in one step.

    Raises:
        UserError: the place cannot be written, or the disk is full; an earlier record is intact.
    """
    lines = [json.dumps(header), *(record.to_line() for record in records)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room or choose another place.") from None


def append_metrics(path: Path, record: StepMetrics) -> None:
    """Add a record to a run's file.

    Raises:
        UserError: the file cannot be written, or the disk is full.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(record.to_line() + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make room, then resume the run.") from None


class RunFolder:
    """The folder of one training run: `log.jsonl`, checkpoints, and the pointers `last` and `best`.

    A checkpoint is a folder `step-000250`, which is never changed once it is there. A pointer is a file with the name
    of one of them, and is replaced in one step, so that whoever reads the folder finds a whole checkpoint. Those that
    no pointer names are removed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.log = self.path / "log.jsonl"
        self.best = self.path / "best"
        self.last = self.path / "last"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training into the folder; if this one is killed, the system lets go of it.

        Raises:
            UserError: another process holds it, or the folder cannot be written.
        """
        with exclusive_lock(self.path, "training into"):
            yield

    def begin(self) -> None:
        """Make the folder ready for a new run; a run that was ended before its first step is forgotten.

        Raises:
            UserError: the folder holds a run already.
        """
        if self.log.exists() or self.best.exists():
            raise UserError(f"{self.path} already holds a run; resume it, or choose another folder.")
        self.last.unlink(missing_ok=True)
        self._remove_unnamed()

    def check_resumable(self) -> None:
        """Raise `UserError` unless the folder holds a run that can go on."""
        if not self.last.exists():
            raise UserError(
                f"{self.path} holds no run to go on with (no checkpoint 'last'); check the path, or start a new run."
            )
        if self.last.is_dir():
            raise UserError(
                f"{self.last} is a folder, as the first edition made it; rename it to the step it is of, such as "
                f"step-000250, and write that name into a file {self.last}."
            )
        if not (self.log.exists() or self.best.exists()) and (find_checkpoint(self.last) / "trainer.pt").exists():
            raise UserError(
                f"{self.path} holds a run that was ended before its first step; start it again, without resuming."
            )

    def write_header(self, header: dict[str, Any]) -> None:
        """Begin the log with what was set; the machine and the date are added."""
        write_run(self.log, {"machine": environment_info()} | header)

    def append(self, record: StepMetrics) -> None:
        """Add a record to the log."""
        append_metrics(self.log, record)

    def save(self, step: int, model: GPT, tokenizer: Tokenizer, state: dict[str, Any], is_best: bool) -> None:
        """Write the checkpoint of a step, with the log up to it on the disk before, and let the pointers name it.

        `best` comes first: a run that is killed between the two goes on from there.

        Raises:
            UserError: the disk is full, or the folder cannot be written; what was saved before is intact.
        """
        if self.log.exists():
            fsync_path(self.log)
        folder = self._new_folder(step)
        checkpoint.save(folder, model, tokenizer, state)
        for pointer in (self.best, self.last) if is_best else (self.last,):
            self._point(pointer, folder)
        self._remove_unnamed()

    def _new_folder(self, step: int) -> Path:
        """Return the folder for the checkpoint of a step; one that is named already keeps its place."""
        name, number = f"step-{step:06d}", 1
        while name in self._named():
            number += 1
            name = f"step-{step:06d}-{number}"
        shutil.rmtree(self.path / name, ignore_errors=True)
        return self.path / name

    def _named(self) -> list[str]:
        """Return the names of the checkpoints that the pointers name."""
        return [find_checkpoint(pointer).name for pointer in (self.best, self.last) if pointer.exists()]

    def _point(self, pointer: Path, folder: Path) -> None:
        """Let a pointer name a checkpoint."""
        try:
            atomic_write_text(pointer, folder.name + "\n")
        except OSError as error:
            raise UserError(
                f"{pointer} could not be saved ({error.strerror}); make room (what was saved before is intact)."
            ) from None

    def _remove_unnamed(self) -> None:
        """Remove the checkpoints that no pointer names, and what killed saves have left."""
        named = self._named()
        for folder in [*self.path.glob("step-*"), *self.path.glob(".step-*")]:
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)
        for draft in (self.best, self.last, self.log):
            temp_path(draft).unlink(missing_ok=True)

    def read_last(self, **factories: Factory) -> tuple[Checkpoint, dict[str, Any]]:
        """Return the newest checkpoint and the trainer's state in it.

        Raises:
            UserError: there is no such checkpoint, or it is damaged.
        """
        self.check_resumable()
        newest = self._newest()
        return checkpoint.load(newest, **factories), checkpoint.read_trainer_state(newest)

    def _newest(self) -> Path:
        """Return the checkpoint of the latest step: what `last` names, unless a save was killed before it did."""
        last = find_checkpoint(self.last)
        best = find_checkpoint(self.best) if self.best.exists() else last
        return max((last, best), key=lambda folder: int(folder.name.split("-")[1]))

    def recover(self, step: int, changes: dict[str, Any]) -> None:
        """Take back what lies beyond the newest checkpoint, and note in the log that the run was resumed there."""
        newest = self._newest()
        if newest != find_checkpoint(self.last):
            self._point(self.last, newest)
        self._remove_unnamed()
        run = read_run(self.log)
        resumption = {"step": step, "machine": environment_info()} | ({"changes": changes} if changes else {})
        header = run.header | {"resumed": [*run.header.get("resumed", []), resumption]}
        write_run(self.log, header, [record for record in run.records if record.step <= step])
