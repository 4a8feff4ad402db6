"""The record of a training run: a JSON Lines file with a header line and one line for each logged step."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minigpt import checkpoint
from minigpt.checkpoint.save_load import Checkpoint
from minigpt.model.gpt import Factory
from minigpt.utils.errors import UserError
from minigpt.utils.files import atomic_write_text, exclusive_lock, fsync_path, last_complete, remove_stale
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
    """The folder of one training run."""

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

    def check_empty(self) -> None:
        """Raise `UserError` if the folder holds a run already."""
        taken = self.log.exists() or last_complete(self.best).exists()
        if taken:
            raise UserError(f"{self.path} already holds a run; resume it, or choose another folder.")

    def check_resumable(self) -> None:
        """Raise `UserError` unless the folder holds a run that can go on."""
        if not last_complete(self.last).exists():
            raise UserError(
                f"{self.path} holds no run to go on with (no checkpoint 'last'); check the path, or start a new run."
            )
        begun = (
            self.log.exists()
            or last_complete(self.best).exists()
            or not (last_complete(self.last) / "trainer.pt").exists()
        )
        if not begun:
            raise UserError(
                f"{self.path} holds a run that was ended before its first step; start it again, without resuming."
            )

    def write_header(self, header: dict[str, Any]) -> None:
        """Begin the log with what was set; the machine and the date are added."""
        write_run(self.log, {"machine": environment_info()} | header)

    def append(self, record: StepMetrics) -> None:
        """Add a record to the log."""
        append_metrics(self.log, record)

    def flush_log(self) -> None:
        """Make sure that the log is on the disk before a checkpoint that continues it."""
        if self.log.exists():
            fsync_path(self.log)

    def read_last(self, **factories: Factory) -> tuple[Checkpoint, dict[str, Any]]:
        """Return the checkpoint `last` and the trainer's state in it.

        Raises:
            UserError: there is no such checkpoint, or it is damaged.
        """
        self.check_resumable()
        return checkpoint.load(self.last, **factories), checkpoint.read_trainer_state(self.last)

    def truncate_log(self, step: int, changes: dict[str, Any]) -> None:
        """Take back the lines of the log beyond a step, and note in its header that the run was resumed there.

        What killed saves have left is cleared away, too.
        """
        for folder in (self.best, self.last):
            remove_stale(folder)
        run = read_run(self.log)
        resumption = {"step": step, "machine": environment_info()} | ({"changes": changes} if changes else {})
        header = run.header | {"resumed": [*run.header.get("resumed", []), resumption]}
        write_run(self.log, header, [record for record in run.records if record.step <= step])
